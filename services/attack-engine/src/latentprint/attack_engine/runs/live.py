"""The audit of one live endpoint, from its address to its report."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from rich.console import Console

from latentprint.attack_engine.asking import EndpointCard, EndpointSpec
from latentprint.attack_engine.asking.extract import ray_session
from latentprint.attack_engine.asking.plan import check_sizes
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.fitting.scoring import require_samples
from latentprint.attack_engine.attacks.fitting.sweeps import NO_SWEEPS, SweepChoice
from latentprint.attack_engine.audits.gather import Effort, Subject, gather
from latentprint.attack_engine.audits.store import read_cell
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import VictimDescription
from latentprint.attack_engine.questions.membership.forecast import forecast, forecast_of_samples
from latentprint.attack_engine.questions.membership.samples import ExaminedSamples, examine_samples
from latentprint.attack_engine.runs.controls import (
    ControlEncoder,
    control_identity,
    described_controls,
    named_control,
    opened_control,
    untrained_control,
)
from latentprint.attack_engine.runs.finish import FinishedAudit, finish
from latentprint.attack_engine.runs.fitting import CellWork, cell_code, fit_cells, gathered_evidence
from latentprint.attack_engine.runs.layout import RESERVED, Layout, part_name
from latentprint.attack_engine.runs.samples import inspect_samples
from latentprint.core.checks import require_folder, require_folder_name, require_seed
from latentprint.core.datasets import DatasetSpec
from latentprint.core.digests import digest_json
from latentprint.core.errors import DataError, UsageError
from latentprint.core.files import write_atomically
from latentprint.core.ray_session import require_cluster
from latentprint.core.samples import is_vector
from latentprint.core.splits import Split, write_split
from latentprint.core.text import SENTENCE_LENGTH, printable, say
from latentprint.core.tracking import default_uri, open_run, tracked


@dataclass(frozen=True)
class LiveAudit:
    """What a user asks for.

    Attributes:
        name: folder of the results, and MLflow's experiment.
        endpoint: the victim.
        attacks: in the report's order.
        dataset, split: the samples.
        untrained: "auto", "none", or where the untrained twin is: an endpoint, a bundle, timm:NAME.
        reference: where a trained encoder is that saw none of the samples, alike; "" for none.
        seed: of every fit and bootstrap.
        effort: how hard the endpoint is asked.
        sweeps: what every attack is repeated with.
        fresh: forget what is kept of this endpoint first, and start anew.
    """

    name: str
    endpoint: EndpointSpec
    attacks: tuple[Attack, ...]
    dataset: DatasetSpec
    split: Split
    untrained: str
    seed: int
    effort: Effort
    sweeps: SweepChoice = NO_SWEEPS
    fresh: bool = False
    reference: str = ""

    def __post_init__(self) -> None:
        require_folder_name("name", self.name, RESERVED)
        require_seed("seed", self.seed)


def run_audit(audit: LiveAudit, root: Path, console: Console) -> Path:
    """Audit the endpoint with everything below `root`; returns the report's path.

    Raises:
        LatentprintError: whatever a user can mend; run again, it goes on from where it was.
    """
    require_folder(root, "--root")
    require_cluster()
    with audit.endpoint.open() as opened:
        card = opened.card
    require_samples(audit.split, known_too=not all(attack.unfitted for attack in audit.attacks))
    sample_shape = audit.dataset.open().sample_shape
    for attack in audit.attacks:
        _check_unprepared(attack)
        check_sizes(card, attack.on(card.outputs, card.url).signals, sample_shape)
    shared = inspect_samples(audit.attacks, audit.dataset, audit.split, console)
    layout = Layout(root, audit.name)
    kept = _kept_since(layout.signals(card.identity), forget=audit.fresh)
    twin, placebo = _controls(audit, card)
    key = audit_key(audit, kept, card, [control_identity(one, audit.endpoint) for one in (twin, placebo)])
    name = printable(card.model or card.url)
    layout = replace(layout, part=part_name(name, key))
    run = open_run(default_uri(root), audit.name, name, key, layout.mlflow)
    samples = examine_samples(audit.dataset, audit.split, audit.seed)
    for sentence in _foreseen(audit, samples, untrained=twin is not None, placebo=placebo is not None):
        say(console, sentence)
    with (
        tracked(run, console),
        _opened(twin, audit, card, "untrained") as untrained,
        _opened(placebo, audit, card, "placebo") as trained,
    ):
        folder = layout.signals(card.identity)
        subject = Subject(audit.endpoint, untrained, audit.dataset, audit.split, folder, placebo=trained)
        victim = VictimDescription(name, printable(card.url), audit.dataset.name, asdict(card))
        cells = list(_cells(audit, subject, victim, key, layout, console))
        return finish(
            f"Audit of {victim.name}",
            cells,
            layout,
            run,
            console,
            configuration=_configuration(audit),
            files={},
            shared=shared,
            examined={audit.split.digest: samples},
        )


def audit_key(audit: LiveAudit, kept: str, card: EndpointCard, beside: Sequence[str]) -> str:
    """SHA-256 (hex) of all that the audit's scores depend on.

    Its attacks count with their options and code and without their names.

    Args:
        audit: what is asked for.
        kept: says since when answers are kept.
        card: of the victim.
        beside: identities of the control encoders: what lies at the same place may be another one by now.
    """
    attacks = [[attack.options, cell_code(attack)] for attack in audit.attacks]
    samples, controls = [audit.split.digest, audit.split.split_by], [audit.untrained, audit.reference, *beside]
    asked = dict(audit.endpoint.output_names)  # the victim may be asked for another of its outputs under the same name
    return digest_json([kept, card.identity, samples, audit.seed, attacks, asdict(audit.sweeps), controls, asked])


def _cells(
    audit: LiveAudit, subject: Subject, victim: VictimDescription, key: str, layout: Layout, console: Console
) -> Iterator[FinishedAudit]:
    """Ask, fit side by side, and read the cells back."""
    path = layout.split(audit.split.digest)
    if not path.exists():
        write_split(audit.split, path)
    keys = [digest_json([key, attack.options]) for attack in audit.attacks]
    with ray_session(audit.effort.workers):
        gathered = gather(audit.attacks, subject, audit.effort, console)
        work = [
            CellWork(
                attack=attack,
                split_path=path,
                evidence=gathered_evidence(attack, gathered, audit.dataset),
                treated={},
                shadow=None,
                sweeps=audit.sweeps,
                seed=audit.seed,
                queries=gathered.queries(attack),
                card=gathered.card,
                folder=layout.cell(cell),
            )
            for attack, cell in zip(audit.attacks, keys, strict=True)
        ]
        fit_cells(work, console)
    described = described_controls(audit.untrained, audit.reference)
    for attack, cell in zip(audit.attacks, keys, strict=True):
        stored = read_cell(layout.cell(cell))
        if stored is None:
            raise DataError(f"The cell {layout.cell(cell)} vanished while the audit ran: run it again.")
        asked = attack.on(stored.outputs, victim.url)
        facts = victim, asked, stored, audit.dataset, audit.split, audit.seed
        yield FinishedAudit(cell, Audit(*facts, described=described))


def _kept_since(folder: Path, *, forget: bool) -> str:
    """A name for what is kept of an endpoint in `folder`, given when it was begun.

    Cells and MLflow runs are kept under it too: those from before `forget` are never taken for the new ones.
    """
    if forget:
        shutil.rmtree(folder, ignore_errors=True)
    path = folder / "kept-since"
    if not path.exists():
        write_atomically(path, f"{datetime.now(UTC).isoformat(timespec='seconds')} {uuid4().hex}".encode())
    return path.read_text(encoding="utf-8")


def _check_unprepared(attack: Attack) -> None:
    reading = attack.reading
    if reading.distillation is not None or reading.references is not None:
        raise UsageError(
            f"{attack.name} needs samples of the adversary's own, to imitate the endpoint or to train references with: "
            "write an experiment whose split has distillation and shadow_members, and give it to latentprint run."
        )


def _controls(audit: LiveAudit, card: EndpointCard) -> tuple[ControlEncoder | None, ControlEncoder | None]:
    """The untrained twin and the placebo, each where there is one."""
    side = _side(audit.dataset)
    twin = untrained_control(audit.untrained, card, side=side)
    if not audit.reference:
        return twin, None
    return twin, named_control(audit.reference, "--reference", weights="hub", side=side)


def _foreseen(audit: LiveAudit, samples: ExaminedSamples, *, untrained: bool, placebo: bool) -> Iterator[str]:
    """What is known of the verdict before the first query."""
    if samples.blind.baseline.above_chance:
        yield from forecast_of_samples(samples.blind)
        return
    fitted = not all(attack.unfitted for attack in audit.attacks)
    yield from forecast(audit.split, untrained=untrained, placebo=placebo, fitted=fitted)


@contextmanager
def _opened(
    control: ControlEncoder | None, audit: LiveAudit, victim: EndpointCard, name: str
) -> Iterator[EndpointSpec | None]:
    """The control's endpoint, where there is one. Raises `UsageError` where it is the victim's."""
    if control is None:
        yield None
        return
    with opened_control(control, audit.endpoint, name=name) as endpoint:
        with endpoint.open() as opened:
            if opened.card.identity == victim.identity or opened.card.has_weights_of(victim):
                raise UsageError(
                    f"The {name} encoder at {control.source} is the audited one itself, which controls nothing: name "
                    "another."
                )
        yield endpoint


def _side(dataset: DatasetSpec) -> int | None:
    """Of the audited images, pixels; None for vectors."""
    shape = dataset.open().sample_shape
    return None if is_vector(shape) else shape[0]


def _configuration(audit: LiveAudit) -> dict[str, object]:
    return {
        "endpoint": audit.endpoint.url,
        "attacks": [repr(attack.signals) for attack in audit.attacks],
        "dataset": _shown(asdict(audit.dataset)),
        "split": audit.split.digest,
        "split_by": audit.split.split_by or "not stated",
        "untrained": audit.untrained,
        "reference": audit.reference or "none",
        "seed": audit.seed,
        "effort": asdict(audit.effort),
        "sweeps": asdict(audit.sweeps),
    }


def _shown(value: object) -> object:
    """Options as they can be shown: a path may hold what is no text."""
    if isinstance(value, Mapping):
        return {name: _shown(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_shown(one) for one in value]
    return printable(value, SENTENCE_LENGTH) if isinstance(value, str | Path) else value
