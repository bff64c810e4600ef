"""`latentprint audit` with samples of the adversary's own: a shadow model, students and references are trained."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentprint.attack_engine.asking.server_process import served
from latentprint.core.datasets import DatasetSpec
from latentprint.core.splits import draw_split
from latentprint.trainer import train

pytestmark = pytest.mark.slow
SIDE = 16
TINY = {"architecture": "resnet18_cifar_narrow", "architecture_options": {"width": 8}}
SHORT = ("--attack-option", "seqmia.distillation={epochs: 2, learning_rate: 0.05}")
FEW = ("--attack-option", "lira.references={count: 4}")
FOLDERS = tuple[Path, Path, Path]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> FOLDERS:
    """Three folders of digits in class folders: members, non-members, the adversary's own."""
    root, data = tmp_path_factory.mktemp("digits"), DatasetSpec("digits", {"side": SIDE}).open()
    label, parts = data.labels["class"], {"members": [], "others": [], "auxiliary": []}
    for value in np.unique(label):
        rows = np.flatnonzero(label == value)
        for part, chosen in zip(parts, np.split(rows[:26], [6, 12]), strict=True):
            parts[part] += [(int(value), int(row)) for row in chosen]
    for part, chosen in parts.items():
        for value, row in chosen:
            folder = root / part / str(value)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(data.images(np.array([row]))[0]).save(folder / f"{row:04}.png")
    return root / "members", root / "others", root / "auxiliary"


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A served victim that answers posteriors."""
    folder, spec = tmp_path_factory.mktemp("classifier") / "digits", DatasetSpec("digits", {"side": SIDE})
    split = draw_split(spec.open(), members=60, non_members=60, source=spec)
    train("supervised", TINY, spec, split, folder, epochs=2, threads=1)
    with served({"digits": str(folder)}) as (url,):
        yield url


def command(url: str, digits: FOLDERS, root: Path, *further: str) -> tuple[object, ...]:
    members, others, _ = digits
    return (
        *("audit", url, "--members", members, "--non-members", others, "--side", SIDE, "--untrained", "none"),
        *("--attack", "seqmia,lira", *SHORT, *FEW, "--shadow-epochs", 2, "--root", root, *further),
    )


def test_a_served_classifier_is_attacked_by_distillation_and_references_and_resumed_for_free(
    latentprint: Callable[..., object], classifier: str, digits: FOLDERS, tmp_path: Path
) -> None:
    asked = command(classifier, digits, tmp_path, "--auxiliary", str(digits[2]))
    first = latentprint(*asked)
    assert first.code == 0, first.err
    findings = json.loads(Path(first.out.strip()).with_name("findings.json").read_text())
    audits = {audit["attack"]["name"]: audit for audit in findings["audits"]}
    assert set(audits) == {"seqmia", "lira"}
    assert audits["seqmia"]["attack"]["fitted_on"].startswith("shadow of digits")
    assert audits["lira"]["attack"]["fitted_on"] == audits["seqmia"]["attack"]["fitted_on"]
    assert audits["lira"]["queries"]["sent"] == 120
    assert audits["seqmia"]["queries"]["sent"] == 120 + 70  # and half of the adversary's 140 to distil with
    store = tmp_path / "store"
    kept = {path: path.stat().st_mtime_ns for path in store.rglob("*.npz")}
    assert {path.parent.parent.name for path in kept} == {"distillations", "references"}

    again = latentprint(*asked)
    assert again.code == 0, again.err
    assert again.out == first.out
    assert {path: path.stat().st_mtime_ns for path in store.rglob("*.npz")} == kept
    later = json.loads(Path(again.out.strip()).with_name("findings.json").read_text())
    assert [audit["result"] for audit in later["audits"]] == [audit["result"] for audit in findings["audits"]]


def test_without_such_samples_it_is_refused_before_any_query_with_what_to_do(
    latentprint: Callable[..., object], classifier: str, digits: FOLDERS, tmp_path: Path
) -> None:
    refused = latentprint(*command(classifier, digits, tmp_path))
    assert refused.code == 2
    assert "--auxiliary DIR" in refused.err
    assert not list(tmp_path.rglob("shard-*"))


def test_too_few_references_are_refused_before_any_query_with_how_many_do(
    latentprint: Callable[..., object], classifier: str, digits: FOLDERS, tmp_path: Path
) -> None:
    asked = command(classifier, digits, tmp_path, "--auxiliary", str(digits[2]))
    refused = latentprint(*("lira.references={count: 2}" if word == FEW[1] else word for word in asked))
    assert refused.code == 2, refused.err
    assert "at least" in refused.err
    assert not list(tmp_path.rglob("shard-*"))


def test_samples_with_other_classes_are_refused(
    latentprint: Callable[..., object], classifier: str, digits: FOLDERS, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    (other / "letters").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(30):
        Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(other / "letters" / f"{number}.png")
    refused = latentprint(*command(classifier, digits, tmp_path / "runs", "--auxiliary", str(other)))
    assert refused.code == 3, refused.err
    assert "other class folders" in refused.err


def test_an_endpoint_whose_training_nobody_knows_needs_a_recipe_for_its_shadow(
    latentprint: Callable[..., object], endpoint: str, digits: FOLDERS, tmp_path: Path
) -> None:
    refused = latentprint(*command(endpoint, digits, tmp_path, "--auxiliary", str(digits[2])))
    assert refused.code == 2, refused.err
