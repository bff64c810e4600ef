"""Whether the reference models that an experiment asks for suffice for its attacks, before anything is trained."""

from collections.abc import Sequence

from latentprint.attack_engine.models.reference_design import parts_of
from latentprint.attack_engine.runs.config import Experiment
from latentprint.attack_engine.runs.preparing import Case
from latentprint.attack_engine.runs.victims import VictimJob
from latentprint.core.errors import UsageError


def require_enough_references(experiment: Experiment, jobs: Sequence[VictimJob]) -> None:
    """Raise `UsageError`, with the number that suffices, where an attack would lack references of some sample."""
    for attack in (experiment.attack(choice) for choice in experiment.attacks):
        reading = attack.reading
        if reading is None or reading.references is None or reading.references.kind == "distilled":
            continue
        for job in jobs:
            if job.adversary is None:
                continue
            case = Case(job, job.shadow)
            pool = len(case.pool(reading.references).ids)
            parts = parts_of(pool, case.members)
            if not reading.needs.met(parts, reading.references.count):
                raise UsageError(
                    f"{attack.name} on {job.choice.name!r}: with {reading.references.count} reference models, each "
                    f"trained on one of {parts} parts of {pool} samples, too few are trained on some sample or too few "
                    f"are not; give its references a count of at least {reading.needs.fewest(parts)}."
                )
