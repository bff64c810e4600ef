"""Editing the code that computes a kept thing changes its key; editing anything else changes none."""

import ast
import json
import os
import shutil
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_PACKAGES = ("libs/core", "services/trainer", "services/attack-engine")
_ENGINE, _TRAINER, _CORE = "latentprint.attack_engine", "latentprint.trainer", "latentprint.core"

_VICTIMS = ("victim/*", "checkpoint/*")
_THIEVES = ("stolen/*", "derived/thief")
# What is edited; the keys that have to change; keys that must not.
_CHANGING = [
    (f"{_TRAINER}.loop:Loop.run", (*_VICTIMS, "references/*", "candidate/*"), ("signal/*", "sequence/*", "cell/part*")),
    (f"{_TRAINER}.private_update:PrivateUpdate.__call__", (*_VICTIMS, "references/*"), ("signal/*", "imitations/*")),
    (f"{_TRAINER}.setup:Setup.new_method", _VICTIMS, ("signal/*", "sequence/*", "cell/part*")),
    (f"{_TRAINER}.evaluation:evaluate", _VICTIMS, ("signal/*", "sequence/*")),
    (f"{_TRAINER}.defences.dp_sgd:DpSgd.apply", ("*/private",), ("*/plain", "*/masked", "*/rocl", "references/*")),
    (
        f"{_TRAINER}.recipes.mae:PixelDecoder.forward",
        ("*/masked", "derived/*"),
        ("*/plain", "*/private", "*/rocl", "cell/*"),
    ),
    (f"{_TRAINER}.recipes.rocl:AdversarialContrast.build", ("*/rocl",), ("*/plain", "*/private", "*/masked", "cell/*")),
    (f"{_TRAINER}.recipes.moco:MomentumContrast.build", ("*/rocl",), ("*/plain", "*/private", "*/masked")),
    (f"{_CORE}.views.augmentations:apply_draws", (*_VICTIMS, "references/*", "signal/variance"), ("signal/seqmia",)),
    (f"{_CORE}.architectures.resnet:resnet18_cifar", ("*/plain", "sequence/*", "references/*"), ("signal/seqmia",)),
    (f"{_CORE}.bundles:save_bundle", _VICTIMS, ("signal/*", "sequence/*")),
    (
        f"{_ENGINE}.evidence.posterior_metrics:_log",
        ("sequence/*", "references/*", "imitations/*", "cell/seqmia", "cell/lira", "cell/enhancedmia-d"),
        (*_VICTIMS, "signal/*", "cell/partcrop"),
    ),
    (f"{_ENGINE}.evidence.energies:uniform_energy", ("sequence/*", "signal/partcrop", "cell/partcrop"), _VICTIMS),
    (
        f"{_ENGINE}.models.reference_design:reference_members",
        ("references/*", "imitations/*", "cell/rmia"),
        ("signal/*",),
    ),
    (f"{_ENGINE}.models.distil:distil", ("sequence/*", "imitations/*", "cell/seqmia"), ("cell/partcrop", "cell/lira")),
    (
        f"{_ENGINE}.models.stealing:steal",
        _THIEVES,
        ("derived/probed", "sequence/*", "signal/*", "cell/*", *_VICTIMS),
    ),
    (
        f"{_ENGINE}.models.stealing_losses:info_nce",
        ("stolen/infonce", "derived/thief"),
        ("stolen/mse", "derived/probed", "sequence/*"),
    ),
    (f"{_ENGINE}.models.derived:FreshWeightsJob.make", ("derived/*",), ("stolen/*", "cell/*", *_VICTIMS)),
    (f"{_TRAINER}.probing:fit_probe", ("probe/*", "derived/probed"), ("derived/thief", "signal/*", "cell/*")),
    (f"{_ENGINE}.attacks.fitting.attribute_scores:infer_attribute", ("cell/attribute-i*",), ("cell/p*", "cell/l*")),
    (f"{_ENGINE}.signals.part_crops:PartCropSignal.extract", ("*/partcrop",), ("cell/v*", "cell/l*", "signal/e*")),
    (f"{_ENGINE}.signals.views:EncoderMISignal.extract", ("*/encodermi*",), ("*/partcrop", "*/variance", "*/seqmia")),
    (f"{_ENGINE}.attacks.membership.rmia:rmia", ("cell/rmia", "cell/rmia-online"), ("cell/lira", "cell/p*")),
    (f"{_ENGINE}.inference.transformer:SequenceTransformer.fit", ("cell/seqmia-t*",), ("cell/seqmia", "signal/*")),
    (
        f"{_ENGINE}.attacks.fitting.audit_scores:fit_and_score",
        ("cell/*", "live/*"),
        ("signal/*", *_VICTIMS, "candidate/*"),
    ),
    (f"{_ENGINE}.attacks.fitting.scoring:cross_validated_auc", ("candidate/*",), ("cell/*", "live/*", "signal/*")),
    (f"{_ENGINE}.attacks.fitting.stored_scores:write_cell", ("cell/*", "live/*"), ("signal/*", "candidate/*")),
    (
        f"{_ENGINE}.asking.signal_store:read_signals",
        ("cell/*", "live/*", "candidate/*"),
        ("signal/partcrop", *_VICTIMS),
    ),
]
# Words, pictures, commands, judging, neighbours: definitions that no key may see.
_UNSEEN = [
    f"{_ENGINE}.report.charts.roc:roc",
    f"{_ENGINE}.report.words:percent",
    f"{_ENGINE}.questions.membership.wording:look_words",
    f"{_ENGINE}.questions.membership.judge:audit_verdict",
    f"{_ENGINE}.findings.conclude:conclude",
    f"{_ENGINE}.runs.finish:write_report",
    f"{_ENGINE}.runs.record:record_finding",
    f"{_ENGINE}.commands.audit:register",
    f"{_ENGINE}.asking.plan_table:plan_table",
    f"{_TRAINER}.commands:register",
    f"{_TRAINER}.display:showing",
    f"{_TRAINER}.recipes.vicreg:VarianceInvarianceCovariance.build",
    f"{_CORE}.cli:main",
]
# Files with text to be put in the place of another.
_PROSE = [
    ("attacks/__init__.py", 'summary="the embedding itself"', 'summary="nothing but the embedding"'),
    ("attacks/__init__.py", '"Part response", "image', '"Response of parts", "image'),
    ("recipes/__init__.py", 'summary="masked autoencoder on a small ViT"', 'summary="a masked autoencoder"'),
    ("defences/__init__.py", 'summary="differential privacy: each', 'summary="privacy: each'),
    ("datasets/composites.py", 'summary="', 'summary="in other words: '),
    ("trainer/loop.py", "\nfrom ", "\n# a comment\n\n\nfrom "),
    ("fitting/audit_scores.py", '"""', '"""In other words: '),
    ("asking/signal.py", '"""', '"""In other words: '),
    ("templates/page.html.j2", "<html", "<!-- a page --><html"),
    (
        "attacks/__init__.py",
        "ATTACKS.add(",
        'ATTACKS.add("added", AttackDefinition("latentprint.attack_engine.attacks.membership.added:Added", "mlp", {}), '
        'summary="a new attack", source="here")\nATTACKS.add(',
    ),
]
_ADDED = '''"""An attack."""

from dataclasses import dataclass

from latentprint.attack_engine.signals.views import VarianceSignal


@dataclass(frozen=True)
class Added(VarianceSignal):
    """A signal."""

    name = "added"
'''
# Every function of the engine and the trainer that puts code in a key: a new one belongs into the tables above.
_KEYED = {
    "asking/plan.py: signal_key",
    "models/candidate_job.py: key",
    "models/derived.py: code",
    "models/stealing_job.py: key",
    "models/training.py: code",
    "runs/cells.py: _further",
    "runs/cells.py: key",
    "runs/evidence_jobs.py: _digest",
    "runs/evidence_jobs.py: _trained",
    "runs/fitting.py: cell_code",
    "runs/audit_request.py: audit_key",
    "trainer/plan.py: training_code",
    "trainer/probing.py: probe_identity",
    "trainer/setup.py: identity",
    "core/serving_digest.py: serving_digest",
    "datasets/as_published.py: as_published",
    "datasets/cache.py: _made_from",
    "datasets/news.py: news",
    "datasets/purchase.py: _of_transactions",
}
_CODE = ("code_digest", "training_code", "cell_code")


def _path(tree: Path, module: str) -> Path:
    inside = Path(*module.split(".")).with_suffix(".py")
    (found,) = [path for package in _PACKAGES if (path := tree / package / "src" / inside).exists()]
    return found


def _edit(tree: Path, function: str) -> dict[str, str]:
    """The path of a function's file, and its text with a statement more in that function."""
    module, _, definition = function.partition(":")
    path = _path(tree, module)
    text = path.read_text()
    node: ast.Module | ast.ClassDef | ast.FunctionDef = ast.parse(text)
    for name in definition.split("."):
        (node,) = [one for one in node.body if isinstance(one, ast.ClassDef | ast.FunctionDef) and one.name == name]
    last, lines = node.body[-1], text.splitlines()
    lines.insert(last.lineno - 1, " " * last.col_offset + "edited = 1")
    return {str(path): "\n".join(lines) + "\n"}


def _keys(tree: Path, folder: Path, edits: list[dict[str, str]]) -> list[dict[str, str]]:
    places = os.pathsep.join(str(tree / package / "src") for package in _PACKAGES)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("kept_keys.py")), str(folder)],
        input=json.dumps(edits),
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, str]] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources that may be edited."""
    tree = tmp_path_factory.mktemp("tree")
    for package in _PACKAGES:
        shutil.copytree(_ROOT / package / "src", tree / package / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return tree


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(scope="module")
def found(tree: Path, folder: Path) -> dict[str, dict[str, str]]:
    """All keys, by what was edited before; "" for nothing, and "unseen" for all of `_UNSEEN`."""
    names = [name for name, _, _ in _CHANGING]
    edits = [
        *(_edit(tree, name) for name in names),
        dict(edit for name in _UNSEEN for edit in _edit(tree, name).items()),
    ]
    return dict(zip(["", *names, "unseen"], _keys(tree, folder, edits), strict=True))


@pytest.mark.parametrize(("edited", "changing", "staying"), _CHANGING)
def test_edited_code_changes_the_keys_of_what_it_computes(
    found: dict[str, dict[str, str]], edited: str, changing: tuple[str, ...], staying: tuple[str, ...]
) -> None:
    before, after = found[""], found[edited]
    changed = {name for name in before if before[name] != after[name]}
    for pattern in (*changing, *staying):
        assert any(fnmatch(name, pattern) for name in before), f"no key is like {pattern}"
    assert {name for name in before if any(fnmatch(name, one) for one in changing)} <= changed
    assert not {name for name in changed if any(fnmatch(name, one) for one in staying)}


def test_words_pictures_commands_and_judging_change_no_key(found: dict[str, dict[str, str]]) -> None:
    assert found["unseen"] == found[""]


def test_prose_and_a_new_attack_change_no_key(found: dict[str, dict[str, str]], tree: Path, folder: Path) -> None:
    for name, old, new in _PROSE:
        (path,) = [path for path in tree.rglob(Path(name).name) if path.match(f"*/{name}")]
        text = path.read_text()
        assert old in text, f"{name} lacks {old!r}"
        path.write_text(text.replace(old, new, 1))
    (_path(tree, f"{_ENGINE}.attacks.membership.rmia").with_name("added.py")).write_text(_ADDED)
    (after,) = _keys(tree, folder, [])
    assert "cell/added" in after
    assert {name: key for name, key in after.items() if not name.endswith("/added")} == found[""]


def test_every_place_that_keys_by_code_is_tested_here() -> None:
    keyed = set()
    for package in _PACKAGES:
        for path in (_ROOT / package / "src").rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                calls = [one for one in ast.walk(node) if isinstance(one, ast.Call)]
                names = {call.func.id for call in calls if isinstance(call.func, ast.Name)}
                if isinstance(node, ast.FunctionDef) and names & set(_CODE):
                    keyed.add(f"{path.parent.name}/{path.name}: {node.name}")
    assert keyed == _KEYED
