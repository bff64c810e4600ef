"""An experiment's searches: both stages, what they found, and the candidates that are audited with the other victims.

Only the first stage's bounds and the chosen one are audited: three or four candidates show the trend in the report,
and fewer null controls keep each control's interval narrow. The table of a search has every bound.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from latentprint.attack_engine.asking.extract import ray_session
from latentprint.attack_engine.attacks.fitting.scoring import require_samples
from latentprint.attack_engine.runs.candidates import Candidate, probe_accuracy
from latentprint.attack_engine.runs.config import Experiment
from latentprint.attack_engine.runs.display import bars
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.search import SearchChoice, Tried, ranked, scsr, second_stage
from latentprint.attack_engine.runs.training import open_record, train_missing
from latentprint.attack_engine.runs.tuning import measure_side_by_side
from latentprint.attack_engine.runs.victims import VictimJob
from latentprint.core.files import write_atomically
from latentprint.core.text import say
from latentprint.core.tracking import Run

_FIRST, _SECOND = 1, 2


@dataclass(frozen=True)
class Searched:
    """One search: all bounds in the order tried, the chosen one, and the candidates to be audited."""

    choice: SearchChoice
    undefended: float | None
    tried: tuple[Tried, ...]
    chosen: Tried
    audited: tuple[VictimJob, ...]

    def rows(self) -> Iterator[dict[str, Any]]:
        """The search's table."""
        for one in self.tried:
            yield {
                "victim": self.choice.victim,
                "attack": self.choice.attack,
                "lower": one.lower,
                "stage": one.stage,
                "cross_validated_auc": one.auc,
                "probe_accuracy": one.probe_accuracy,
                "chosen": one == self.chosen,
            }

    @property
    def summary(self) -> dict[str, Any]:
        """The search as a plain mapping, bound by bound."""
        bounds = {f"lower {one.lower}": {k: v for k, v in asdict(one).items() if k != "lower"} for one in self.tried}
        return {"undefended_probe_accuracy": self.undefended, "chosen": self.chosen.lower, **bounds}


@dataclass(frozen=True)
class Searches:
    """All searches of an experiment.

    Attributes:
        jobs: the experiment's victims, then the searches' candidates that are audited.
        configuration: what was found, for the findings.
        files: the table of all searches, by artifact folder.
    """

    jobs: tuple[VictimJob, ...]
    configuration: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)


def run_searches(
    experiment: Experiment, jobs: Sequence[VictimJob], layout: Layout, run: Run, console: Console
) -> Searches:
    """Carry out the experiment's searches on its trained victims `jobs`; what was measured before is not made again.

    Raises:
        DataError: too few known samples to attack with; LatentprintError: see `measure_side_by_side`.
    """
    if not experiment.searches:
        return Searches(tuple(jobs))
    found = [_search(choice, experiment, jobs, layout, run, console) for choice in experiment.searches]
    by_key = {job.key: job for searched in found for job in searched.audited}
    new = [job for key, job in by_key.items() if key not in {job.key for job in jobs}]
    table = pd.DataFrame([row for searched in found for row in searched.rows()])
    write_atomically(layout.searches, table.to_csv(index=False).encode())
    results = {f"{one.choice.victim} under {one.choice.attack}": one.summary for one in found}
    return Searches((*jobs, *new), {"search_results": results}, {"searches": layout.searches})


def _search(
    choice: SearchChoice,
    experiment: Experiment,
    jobs: Sequence[VictimJob],
    layout: Layout,
    run: Run,
    console: Console,
) -> Searched:
    victim = next(job for job in jobs if job.choice.name == choice.victim)
    require_samples(victim.split)
    undefended = probe_accuracy(victim)
    least = None if undefended is None else undefended - choice.utility_loss
    candidates: list[Candidate] = []

    def stage(number: int, bounds: Sequence[float]) -> list[Tried]:
        new = [_candidate(choice, lower, victim, experiment, layout) for lower in bounds]
        candidates.extend(new)
        return _measure(number, new, experiment, run, console)

    first = stage(_FIRST, choice.coarse)
    best, next_best = (one.lower for one in ranked(first, least)[:2])
    tried = (*first, *stage(_SECOND, second_stage(best, next_best, choice.step, choice.coarse)))
    train_missing([candidate.job for candidate in candidates], run, experiment, console)
    chosen = ranked(tried, least)[0]
    say(
        console,
        f"SCSR on {choice.victim}: of {len(tried)} lower bounds, {chosen.lower} is chosen (AUC of {choice.attack} "
        f"{chosen.auc:.3f}, cross-validated over the known samples).",
    )
    audited = tuple(c.job for c in candidates if c.lower in {*choice.coarse, chosen.lower})
    return Searched(choice, undefended, tried, chosen, audited)


def _candidate(
    choice: SearchChoice, lower: float, victim: VictimJob, experiment: Experiment, layout: Layout
) -> Candidate:
    """The victim with its bound raised: same data, split and seed."""
    defended = replace(victim.choice, name=choice.name(lower), defence=scsr(lower))
    job = replace(victim, choice=defended)
    attack = next(a for a in map(experiment.attack, experiment.attacks) if a.name == choice.attack)
    return Candidate(lower, job, attack.against(job.augmentation), experiment.seed, layout)


def _measure(
    stage: int, candidates: Sequence[Candidate], experiment: Experiment, run: Run, console: Console
) -> list[Tried]:
    missing = [candidate for candidate in candidates if candidate.measured is None]
    if missing:
        folder = missing[0].layout.tuning / f"{missing[0].path.stem}-stage-{stage}"
        with ray_session(experiment.workers), bars(console) as progress:
            trials = {c.lower: (c, None if c.job.finished else open_record(run, c.job)) for c in missing}
            measure_side_by_side(trials, folder, progress, side_by_side=experiment.trainings)
    measured = [(candidate.lower, candidate.measured) for candidate in candidates]
    return [Tried(lower, stage, one.auc, one.probe_accuracy) for lower, one in measured if one is not None]
