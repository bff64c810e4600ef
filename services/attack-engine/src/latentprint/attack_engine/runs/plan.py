"""What an experiment's file asks for, as victims with their samples drawn, before anything is trained."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.fitting.scoring import audited_split
from latentprint.attack_engine.attacks.fitting.sweeps import NO_SWEEPS, SweepChoice
from latentprint.attack_engine.models.choice import DrawnSamples
from latentprint.attack_engine.models.job import PLACEBO
from latentprint.attack_engine.models.reference_design import parts_of
from latentprint.attack_engine.models.training import TrainingJob
from latentprint.attack_engine.models.victim import VictimJob
from latentprint.attack_engine.questions import QUESTIONS
from latentprint.attack_engine.questions.membership.exposure import row_name
from latentprint.attack_engine.runs.config import Experiment
from latentprint.attack_engine.runs.derivation import derived_job, lines_of_descent
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.threat_model import AuditedModel, ThreatModel, audited
from latentprint.core.datasets import Dataset, DatasetSpec
from latentprint.core.errors import UsageError
from latentprint.core.partitions import Partition, draw_partition, draw_placebo
from latentprint.core.splits import Split, draw_split
from latentprint.core.user_partitions import draw_user_partition, draw_user_placebo
from latentprint.trainer import check_labels, make_plan


def plan_victims(experiment: Experiment, layout: Layout) -> list[AuditedModel]:
    """The experiment's victims, their splits drawn and written; what is derived from another has that one's split."""
    opened = {name: spec.open() for name, spec in experiment.datasets.items()}
    lines = lines_of_descent(experiment.victims)
    used = dict.fromkeys(line[0].split for line in lines.values())
    splits = {name: _drawn(experiment, name, opened) for name in used}
    placebos = {name: _placebo(experiment, name, parts, opened) for name, parts in splits.items()}
    planned: dict[str, AuditedModel] = {}
    jobs: dict[str, VictimJob] = {}
    for line in sorted(lines.values(), key=len):
        root, choice = line[0], line[-1]
        drawn, parts, placebo = experiment.splits[root.split], splits[root.split], placebos[root.split]
        own = experiment.datasets[drawn.dataset]
        theirs = experiment.datasets[drawn.auxiliary or drawn.dataset]
        auxiliary = None if parts.shadow is None else written(theirs, parts.shadow, layout)
        seed = experiment.seed if choice.seed is None else choice.seed
        if choice.of:
            jobs[choice.name] = derived_job(choice, jobs[choice.of], auxiliary, seed)
        else:
            plan = make_plan(choice.recipe, choice.options, choice.epochs, choice.defences)
            check_labels(plan, opened[drawn.dataset], parts.target)
            samples = written(own, parts.target, layout)
            jobs[choice.name] = TrainingJob(choice, samples, seed, layout.models, experiment.training_workers)
        planned[choice.name] = audited(
            jobs[choice.name],
            placebo=None if placebo is None else written(own, placebo, layout),
            auxiliary=auxiliary,
        )
    return list(_as_asked(experiment, [planned[choice.name] for choice in experiment.victims], layout))


def _as_asked(experiment: Experiment, models: Sequence[AuditedModel], layout: Layout) -> Iterator[AuditedModel]:
    """The models with the samples that attacks use of their splits, and suspects with whom they may be stolen from."""
    trainings = {model.name: model.training for model in models}
    for choice, model in zip(experiment.victims, models, strict=True):
        samples = written(model.dataset, audited_split(experiment.attacks_on(choice), model.split), layout)
        yield replace(model, samples=samples, original=trainings[choice.owned_by] if choice.owned_by else None)


def written(dataset: DatasetSpec, split: Split, layout: Layout) -> DrawnSamples:
    """A split in the store, by its digest."""
    return DrawnSamples.written(dataset, split, layout.split(split.digest))


def require_enough_references(attacks: Iterable[Attack], models: Sequence[AuditedModel]) -> None:
    """Raise `UsageError` where an attack would lack references of some sample, with the number that suffices.

    So too where references would have to be made like a probe: recipes train them.
    """
    for attack in attacks:
        reading = attack.reading
        if reading.references is None or reading.references.kind == "distilled":
            continue
        for model in models:
            if model.auxiliary is None:
                continue
            like = model.shadow or model.training
            if like is not None and like.choice.steal is not None:
                continue  # a stolen encoder answers no posterior, which references are compared by
            if like is not None and like.choice.probe is not None:
                raise UsageError(
                    f"{attack.name} trains reference models like {model.name!r}, which is derived from another victim: "
                    "leave the attack out, or the victim."
                )
            threat = ThreatModel(model, model.shadow)
            pool = len(threat.pool(reading.references).ids)
            parts = parts_of(pool, threat.members)
            if not reading.needs.met(parts, reading.references.count):
                raise UsageError(
                    f"{attack.name} on {model.name!r}: with {reading.references.count} reference models, each "
                    f"trained on one of {parts} parts of {pool} samples, too few are trained on some sample or too few "
                    f"are not; give its references a count of at least {reading.needs.fewest(parts)}."
                )


def require_units(attacks: Iterable[Attack], models: Sequence[AuditedModel]) -> None:
    """Raise `DataError` where an attack on users meets samples that are nobody's, or a user with too few of them.

    So too among the samples of the adversary's shadow model, which it is fitted on.
    """
    for attack in (one for one in attacks if one.reading.of_units):
        for model in models:
            for samples in (model.samples, None if model.shadow is None else model.shadow.samples):
                if samples is not None:
                    _require_units(attack, samples)


def require_swept(attacks: Iterable[Attack], sweeps: SweepChoice, model: AuditedModel) -> None:
    """Raise `UsageError` where repetitions are asked for and every attack is fitted on the shadow model instead."""
    if sweeps == NO_SWEEPS or model.shadow is None or not all(one.reading.fitted_on_shadow for one in attacks):
        return
    raise UsageError(
        "Repetitions with less (--knowledge, --queries) are of attacks that are fitted on known samples, and these are "
        "fitted on the shadow model: leave them out."
    )


def _require_units(attack: Attack, samples: DrawnSamples) -> None:
    split = samples.split
    if split.units is None:
        attack.rows(split)
        return
    attack.reading.require_units(split.units, lambda unit: row_name(samples.dataset.open(), split, unit))


def _placebo(experiment: Experiment, name: str, parts: Partition, opened: Mapping[str, Dataset]) -> Split | None:
    """Other samples for encoders made like the victims of one split; None where none is wanted or too few are left.

    None is wanted either where no attack's question reads one.
    """
    questions = {experiment.attack(choice).question for choice in experiment.attacks}
    if experiment.placebo == "none" or not any(PLACEBO in QUESTIONS.get(one).held_against for one in questions):
        return None
    drawn = experiment.splits[name]
    seed = experiment.seed if drawn.seed is None else drawn.seed
    dataset, source = opened[drawn.dataset], experiment.datasets[drawn.dataset]
    if drawn.users is not None:
        return draw_user_placebo(dataset, parts, drawn.users, seed=seed, source=source)
    return draw_placebo(dataset, parts, seed=seed, source=source)


def _drawn(experiment: Experiment, name: str, opened: dict[str, Dataset]) -> Partition:
    drawn = experiment.splits[name]
    seed = experiment.seed if drawn.seed is None else drawn.seed
    dataset, source = opened[drawn.dataset], experiment.datasets[drawn.dataset]
    if drawn.is_plain:
        split = draw_split(
            dataset,
            members=drawn.members,
            non_members=drawn.non_members,
            known_fraction=drawn.known_fraction,
            seed=seed,
            source=source,
        )
        return Partition(split, None)
    draw = draw_partition if drawn.users is None else partial(draw_user_partition, images=drawn.users)
    return draw(
        dataset,
        drawn.sizes,
        seed=seed,
        known_fraction=drawn.known_fraction,
        source=source,
        auxiliary=opened[drawn.auxiliary] if drawn.auxiliary else None,
        auxiliary_source=experiment.datasets[drawn.auxiliary] if drawn.auxiliary else None,
    )
