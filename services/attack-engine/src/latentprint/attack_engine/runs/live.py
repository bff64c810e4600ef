"""The audit of one live endpoint, from its address to its report."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from rich.console import Console

from latentprint.attack_engine.asking import EndpointCard, EndpointSpec
from latentprint.attack_engine.asking.drivers import driver_of
from latentprint.attack_engine.asking.plan import check_sizes
from latentprint.attack_engine.attacks.attack import require_one_question
from latentprint.attack_engine.attacks.fitting.scoring import audited_split
from latentprint.attack_engine.attacks.fitting.sweeps import NO_SWEEPS
from latentprint.attack_engine.models.job import ORIGINAL, PLACEBO, SHADOW, TWIN, VICTIM
from latentprint.attack_engine.models.training import TrainingJob
from latentprint.attack_engine.questions import QUESTIONS
from latentprint.attack_engine.questions.membership.results import MembershipResult
from latentprint.attack_engine.questions.question import Question
from latentprint.attack_engine.runs.audit_request import LiveAudit, audit_key, configuration
from latentprint.attack_engine.runs.auxiliary import (
    ShadowOptions,
    auxiliary_of_folder,
    knows_shadow,
    require_auxiliary,
    shadow_choice,
)
from latentprint.attack_engine.runs.cells import CellPlan, evidence_cells
from latentprint.attack_engine.runs.conductor import Conductor, ConductorOptions
from latentprint.attack_engine.runs.controls import (
    ControlEncoder,
    control_identity,
    control_name,
    described_controls,
    named_control,
    opened_control,
    untrained_control,
)
from latentprint.attack_engine.runs.experiment import finished_cells
from latentprint.attack_engine.runs.finish import Report, announce, write_report
from latentprint.attack_engine.runs.layout import Layout, part_name
from latentprint.attack_engine.runs.plan import require_enough_references, require_swept, require_units, written
from latentprint.attack_engine.runs.samples import inspect_samples, samples_of_split
from latentprint.attack_engine.runs.threat_model import AuditedModel
from latentprint.attack_engine.runs.users import auxiliary_users, images_a_user, users_shadow
from latentprint.attack_engine.scheduling.status import RunStatus
from latentprint.attack_engine.scheduling.workers import RayWorkers, TaskWorkers
from latentprint.core.checks import require_folder
from latentprint.core.datasets import DatasetSpec
from latentprint.core.digests import digest_json
from latentprint.core.errors import UsageError
from latentprint.core.files import write_atomically
from latentprint.core.mirror import mirror_of
from latentprint.core.ray_session import require_cluster
from latentprint.core.samples import Size, is_vector, size_of
from latentprint.core.splits import Split
from latentprint.core.text import printable, say
from latentprint.core.tracking import default_uri, new_run, tracked

_CALLED = {TWIN: "untrained", PLACEBO: "placebo", ORIGINAL: "original"}
_OR_NONE = {ORIGINAL: ", or leave it out: an encoder that has the victim's own weights is the victim"}


def run_audit(
    audit: LiveAudit,
    root: Path,
    console: Console,
    *,
    workers: TaskWorkers | None = None,
    track: bool = True,
    status: RunStatus | None = None,
) -> Report:
    """Audit the endpoint with everything below `root`, from its address to its report.

    Args:
        audit: what is asked for.
        root: where everything is kept.
        console: where plans, progress and the verdict are shown.
        workers: who asks and fits; processes of Ray if None.
        track: whether it is logged to MLflow, and its report's path printed to standard output.
        status: told what is done, for whoever watches.

    Raises:
        LatentprintError: whatever a user can mend; run again, it goes on from where it was.
    """
    require_folder(root, "--root")
    if workers is None:
        require_cluster()
    mirror = mirror_of(root)
    place = workers or RayWorkers(mirror)
    require_auxiliary(audit.attacks, given=audit.auxiliary is not None)
    audit = replace(audit, split=audited_split(audit.attacks, audit.split))
    with audit.endpoint.open() as opened:
        card = opened.card
    question = _question(audit, card)
    shared = inspect_samples(audit.attacks, audit.dataset, audit.split, console)
    layout = Layout(root, audit.name)
    controls = _controls(audit, card)
    beside = [control_identity(controls.get(side), audit.endpoint) for side in (TWIN, PLACEBO, ORIGINAL)]
    victim = audited_endpoint(audit, card, layout, beside)
    require_enough_references(audit.attacks, [victim])
    require_units(audit.attacks, [victim])
    require_swept(audit.attacks, audit.sweeps, victim)
    key = audit_key(audit, victim)
    name = victim.name
    layout = replace(layout, part=part_name(name, key))
    run = new_run(default_uri(root), audit.name, name, key, layout.mlflow) if track else None
    examined = question.examine(audit.dataset, audit.split, audit.seed)
    fitted = not all(attack.unfitted for attack in audit.attacks)
    there = {"untrained": TWIN in controls, "placebo": PLACEBO in controls, "original": ORIGINAL in controls}
    for sentence in question.foresee(audit.split, examined, **there, fitted=fitted):
        say(console, sentence)
    options = ConductorOptions(audit.asking, seed=audit.seed, workers=place, status=status or RunStatus())
    with (
        nullcontext() if run is None else tracked(run, console),
        place.session(options.processes),
        ExitStack() as opened_controls,
    ):
        further = {
            side: opened_controls.enter_context(_opened(one, audit, card, side, place.host))
            for side, one in controls.items()
        }
        endpoints = {victim.key: {VICTIM: audit.endpoint, **further}}
        if mirror is not None:
            _require_servers(endpoints[victim.key].values())
        cells = Conductor(layout, options, run, console, endpoints).carry_out(list(_cells(audit, victim)))
        described = described_controls(*map(control_name, (audit.untrained, audit.reference, audit.original)))
        finished = list(finished_cells(cells, layout, described, fdr=audit.fdr))
        report = write_report(
            f"Audit of {name}",
            finished,
            layout,
            configuration=configuration(audit),
            shared=shared,
            examined={audit.split.digest: examined},
        )
        if mirror is not None:
            mirror.push(layout.results)
        if run is not None:
            announce(report, finished, layout, run, console, {})
        return report


def audited_endpoint(audit: LiveAudit, card: EndpointCard, layout: Layout, beside: Sequence[str]) -> AuditedModel:
    """The endpoint as a victim that somebody else serves, with what its adversary has and trains.

    `beside` are the identities of the control encoders: what lies at the same place may be another one by now.
    """
    kept = _kept_since(layout.signals(card.identity), forget=audit.fresh)
    samples = written(audit.dataset, audit.split, layout)
    controls = (*map(control_name, (audit.untrained, audit.reference, audit.original)), *beside)
    asked = dict(audit.endpoint.output_names)  # the victim may be asked for another of its outputs under the same name
    facts = (kept, card.identity, audit.split.split_by, *controls, digest_json(asked))
    name = printable(card.model or card.url)
    victim = AuditedModel(name, card.identity, samples, audit.seed, facts=facts)
    if audit.auxiliary is None:
        return victim
    of_users = any(attack.reading.of_units for attack in audit.attacks)
    options = users_shadow(audit.shadow, card) if of_users else audit.shadow
    choice = None
    if knows_shadow(card, options) or any(attack.reading.needs_shadow for attack in audit.attacks):
        choice = shadow_choice(card, options)
    elif audit.shadow != ShadowOptions():
        raise UsageError(
            f"No shadow model is trained of {card.url}, which answers no posterior: leave out --shadow-epochs and "
            "--shadow-option, or name a recipe with --shadow-recipe."
        )
    auxiliary = written(*_auxiliary(audit, audit.auxiliary, shadowed=choice is not None), layout)
    shadow = None
    if choice is not None and len(auxiliary.split.sample_id):
        shadow = TrainingJob(choice, auxiliary, audit.seed, layout.models, role=SHADOW)
    return replace(victim, auxiliary=auxiliary, shadow=shadow)


def _question(audit: LiveAudit, card: EndpointCard) -> Question[Any]:
    """What the attacks ask. Raises `LatentprintError` where samples, repetitions or the endpoint do not suit it."""
    question, dataset = QUESTIONS.get(require_one_question(audit.attacks)), audit.dataset.open()
    if question.result is not MembershipResult and (len(audit.split.candidates) or audit.sweeps != NO_SWEEPS):
        given = "Candidates" if len(audit.split.candidates) else "Repetitions with less (--knowledge, --queries)"
        raise UsageError(f"{given} belong to the question of membership; {question.title.lower()} has none.")
    question.require(audit.attacks, dataset, audit.split)
    for attack in audit.attacks:
        check_sizes(card, attack.on(card.outputs, card.url).signals, dataset.sample_shape)
    return question


def _auxiliary(audit: LiveAudit, place: Path, *, shadowed: bool) -> tuple[DatasetSpec, Split]:
    """The adversary's own samples at `place`, and what each is for."""
    if not place.is_dir():
        return samples_of_split(place)
    if any(attack.reading.of_units for attack in audit.attacks):
        return auxiliary_users(place, audit.dataset, images=images_a_user(audit.attacks), seed=audit.seed)
    return auxiliary_of_folder(place, audit.dataset, seed=audit.seed, shadowed=shadowed)


def _cells(audit: LiveAudit, victim: AuditedModel) -> Iterator[CellPlan]:
    for attack in audit.attacks:
        if not attack.reading.fitted_on_shadow:
            yield CellPlan(victim, attack, audit.seed, audit.sweeps)
        else:
            yield from evidence_cells(victim, attack, audit.seed, sweeps=audit.sweeps)


def _kept_since(folder: Path, *, forget: bool) -> str:
    """A name for what is kept of an endpoint in `folder`, given when it was begun.

    Cells and MLflow runs are kept under it too: those from before `forget` are never taken for the new ones.
    """
    mirror, path = mirror_of(folder), folder / "kept-since"
    if forget:
        shutil.rmtree(folder, ignore_errors=True)
    if forget and mirror is not None:
        mirror.forget(folder)
    if mirror is not None:
        mirror.pull(path)
    if not path.exists():
        write_atomically(path, f"{datetime.now(UTC).isoformat(timespec='seconds')} {uuid4().hex}".encode())
    if mirror is not None:
        mirror.push(path)
    return path.read_text(encoding="utf-8")


def _controls(audit: LiveAudit, card: EndpointCard) -> dict[str, ControlEncoder]:
    """The encoders beside the endpoint that there are, by side."""
    pixels = _side(audit.dataset)
    controls = {TWIN: untrained_control(audit.untrained, card, side=pixels)}
    for side, given, flag in ((PLACEBO, audit.reference, "--reference"), (ORIGINAL, audit.original, "--victim")):
        if isinstance(given, ControlEncoder):
            controls[side] = given
        elif given:
            controls[side] = named_control(given, flag, weights="hub", side=pixels)
    return {side: control for side, control in controls.items() if control is not None}


@contextmanager
def _opened(
    control: ControlEncoder, audit: LiveAudit, victim: EndpointCard, side: str, host: str
) -> Iterator[EndpointSpec]:
    """The control's endpoint. Raises `UsageError` where it is the audited one's."""
    name = _CALLED[side]
    with opened_control(control, audit.endpoint, name=name, host=host) as endpoint:
        with endpoint.open() as opened:
            if opened.card.identity == victim.identity or opened.card.has_weights_of(victim):
                raise UsageError(
                    f"The {name} encoder at {control.source} is the audited one itself, which controls nothing: name "
                    f"another{_OR_NONE.get(side, '')}."
                )
        yield endpoint


def _require_servers(endpoints: Iterable[EndpointSpec]) -> None:
    """Raise `UsageError` for an endpoint that other machines cannot open."""
    for one in endpoints:
        if driver_of(one.url).in_process:
            raise UsageError(
                f"{printable(one.url)} is opened from a folder that other machines do not have: serve it with "
                "latentprint serve, or leave out --storage."
            )


def _side(dataset: DatasetSpec) -> Size | None:
    """Of the audited images, pixels; None for vectors."""
    shape = dataset.open().sample_shape
    return None if is_vector(shape) else size_of(*shape[:2])
