"""A program for tests/test_kept_keys.py: every kind of key that something is kept under, before and after edits.

`python kept_keys.py FOLDER` reads edits from standard input, a JSON list of {path: text}, and prints a JSON list: the
keys as the sources are, then the keys after each edit alone, which is taken back again. FOLDER is for files.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

from latentprint.attack_engine.asking.endpoint import Counts, EndpointCard
from latentprint.attack_engine.asking.endpoint_spec import EndpointSpec
from latentprint.attack_engine.asking.extract import Extraction
from latentprint.attack_engine.asking.plan import plan_extraction, signal_key
from latentprint.attack_engine.attacks import ATTACKS, AttackChoice
from latentprint.attack_engine.attacks.attack import Attack
from latentprint.attack_engine.models.candidate_job import CandidateJob
from latentprint.attack_engine.models.choice import VictimChoice
from latentprint.attack_engine.models.job import VICTIM
from latentprint.attack_engine.models.stealing import Stealing
from latentprint.attack_engine.models.stealing_job import StealingJob
from latentprint.attack_engine.models.stored_answers import StoredAnswers
from latentprint.attack_engine.models.training import TrainingJob
from latentprint.attack_engine.runs.audit_request import LiveAudit, audit_key
from latentprint.attack_engine.runs.cells import plan_cells
from latentprint.attack_engine.runs.config import Experiment, SplitChoice
from latentprint.attack_engine.runs.evidence_jobs import EvidencePlan
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.live import audited_endpoint
from latentprint.attack_engine.runs.plan import plan_victims
from latentprint.attack_engine.runs.stored_signals import AskingOptions, StoredSignals
from latentprint.attack_engine.runs.threat_model import AuditedModel, ThreatModel
from latentprint.core import code_digest, module_trees
from latentprint.core.datasets import DatasetSpec
from latentprint.trainer import DefenceSpec, make_plan, untrained
from latentprint.trainer.probing import ProbeOptions, probe_identity
from latentprint.trainer.setup import Setup

Keys = dict[str, str]
_SAMPLES = DatasetSpec("composites", {"count": 120, "side": 16})
_SPLIT = SplitChoice("samples", 20, 20, shadow_members=20, shadow_non_members=20, distillation=20)
_VICTIMS = (
    VictimChoice("plain", "supervised", "all", 1),
    VictimChoice("private", "supervised", "all", 1, defence=DefenceSpec("dp-sgd")),
    VictimChoice("masked", "mae", "all", 1),
    VictimChoice("thief", of="masked", steal=Stealing("infonce", queries=10, held_out=0)),
    VictimChoice("probed", of="masked", probe=ProbeOptions()),
    VictimChoice("rocl", "moco", "all", 1, defence=DefenceSpec("strong-augmentation", {"kind": "adversarial"})),
)
_ATTACKS = tuple(AttackChoice(entry.name) for entry in ATTACKS)


def _experiment() -> Experiment:
    return Experiment("keys", {"samples": _SAMPLES}, {"all": _SPLIT}, _VICTIMS, _ATTACKS, placebo="none")


def _made(job: TrainingJob, bundle: Path) -> None:
    """Where the job's bundles are looked for, one whose weights are always the same."""
    for folder in (job.folder, job.twin.folder):
        if not folder.exists():
            shutil.copytree(bundle, folder)


def _card(bundle: Path) -> EndpointCard:
    with EndpointSpec(f"local:{bundle}").open() as endpoint:
        return endpoint.card


def _signals(model: AuditedModel, attack: Attack, bundle: Path, folder: Path) -> StoredSignals:
    """What an extraction would leave for an attack, planned without asking."""
    endpoint, card, split = EndpointSpec(f"local:{bundle}"), _card(bundle), model.split
    distillation = split.sample_id if model.auxiliary is None else model.auxiliary.split.distillation

    def extractions(ids: object) -> Mapping[str, Mapping[object, Extraction]]:
        plan = plan_extraction(attack.signals, model.dataset, ids, endpoint, folder, card=card)
        found = [Extraction(one, Counts(), 0.0) for one in plan.signals]
        return {VICTIM: dict(zip(attack.signals, found, strict=True))}

    return StoredSignals(asdict(card), None, extractions(split.sample_id), {}, extractions(distillation))


def _victims(models: Mapping[str, AuditedModel]) -> Iterator[tuple[str, str]]:
    for name, model in models.items():
        choice = model.training.choice
        if choice.of:
            yield f"derived/{name}", model.key
            continue
        yield f"victim/{name}", model.key
        plan = make_plan(choice.recipe, choice.options, choice.epochs, choice.defences)
        setup = Setup(plan, model.dataset, model.dataset.open(), model.split, model.seed, choice.defences)
        yield f"checkpoint/{name}", setup.identity("trained")


def _prepared(model: AuditedModel, bundle: Path, layout: Layout) -> Iterator[tuple[str, str]]:
    """Sequences and references, each of an attack that needs them."""
    wanted = {"seqmia": "sequence", "seqmia-encoder": "sequence", "lira": "references", "enhancedmia-d": "imitations"}
    for name, kind in wanted.items():
        attack, threat = AttackChoice(name).build(0), ThreatModel(model, model.shadow)
        signals = _signals(model, attack, bundle, layout.root / "signals")
        plan = EvidencePlan(layout.models, dict.fromkeys([model.key, threat.imitated.key], signals))
        plan.evidence(attack.reading, threat, "victim")
        yield f"{kind}/{name}", plan.jobs[0].folder.name


def _stolen(model: AuditedModel, layout: Layout) -> Iterator[tuple[str, str]]:
    answers = StoredAnswers(model.dataset, model.split.sample_id, layout.root / "endpoint" / "answers", (8,))
    for loss in ("mse", "infonce"):
        yield f"stolen/{loss}", StealingJob(Stealing(loss), answers, None, {}, 0, layout.models).key


def _probed(model: AuditedModel) -> Iterator[tuple[str, str]]:
    yield "probe/default", probe_identity("weights", "data", model.split.digest, ProbeOptions())


def _audits(model: AuditedModel, bundle: Path, layout: Layout) -> Iterator[tuple[str, str]]:
    experiment, card = _experiment(), _card(bundle)
    for cell in plan_cells(experiment, [model]):
        if cell.is_offered:
            yield f"cell/{cell.attack.name}", cell.key
    for attack in map(experiment.attack, experiment.attacks):
        for signal in attack.signals:
            yield f"signal/{attack.name}", signal_key(signal, card, "data")
    simple = AttackChoice("supervisedmi").build(0)
    yield "candidate/supervisedmi", CandidateJob(0.3, model.training, simple, 0, layout.root / "signals").key
    endpoint = EndpointSpec(f"local:{bundle}")
    live = LiveAudit("live", endpoint, (simple,), _SAMPLES, model.split, "none", 0, AskingOptions())
    yield "live/supervisedmi", audit_key(live, audited_endpoint(live, card, layout, ("", "")))


def keys(folder: Path, bundle: Path) -> Keys:
    """Every kind of key, as "kind/which"."""
    for module in (code_digest, module_trees):
        _forget(module)
    layout = Layout(folder, "keys")
    models = {model.name: model for model in plan_victims(_experiment(), layout)}
    plain = models["plain"]
    for job in (plain.training, plain.shadow):
        if job is not None:
            _made(job, bundle)
    made = (*_victims(models), *_prepared(plain, bundle, layout), *_stolen(plain, layout), *_probed(plain))
    return dict([*made, *_audits(plain, bundle, layout)])


def _forget(module: ModuleType) -> None:
    """Forget what was read of files; what was made of the same text is the same again."""
    for kept in vars(module).values():
        if hasattr(kept, "cache_clear") and kept not in (module_trees.parsed, code_digest.read_within):
            kept.cache_clear()


def main() -> None:
    """Print the keys."""
    folder, edits = Path(sys.argv[1]), json.load(sys.stdin)
    bundle = folder / "bundle"
    if not bundle.exists():
        (plain, *_) = plan_victims(_experiment(), Layout(folder, "keys"))
        untrained("supervised", {"architecture_options": {"width": 8}}, _SAMPLES, plain.split, bundle)
    found = [keys(folder, bundle)]
    for edit in edits:
        before = {path: Path(path).read_text() for path in edit}
        for path, text in edit.items():
            Path(path).write_text(text)
        found.append(keys(folder, bundle))
        for path, text in before.items():
            Path(path).write_text(text)
    sys.stdout.write(json.dumps(found))


main()
