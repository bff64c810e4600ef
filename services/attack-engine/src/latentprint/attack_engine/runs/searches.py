"""An experiment's searches: both stages, what they found, and the candidates that are audited with the other victims.

Only the first stage's bounds and the chosen one are audited: three or four candidates show the trend in the report,
and fewer null controls keep each control's interval narrow. The table of a search has every bound.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from latentprint.attack_engine.attacks.fitting.scoring import require_samples
from latentprint.attack_engine.models.candidate_job import CandidateJob, probe_accuracy
from latentprint.attack_engine.models.victim import VictimJob
from latentprint.attack_engine.runs.conductor import Conductor
from latentprint.attack_engine.runs.config import Experiment
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.search import SearchChoice, Tried, ranked, scsr, second_stage
from latentprint.attack_engine.runs.threat_model import AuditedModel, audited
from latentprint.core.errors import UsageError
from latentprint.core.files import write_atomically
from latentprint.core.text import say

_FIRST, _SECOND = 1, 2


@dataclass(frozen=True)
class Searched:
    """One search: all bounds in the order tried, the chosen one, and the candidates to be audited."""

    choice: SearchChoice
    undefended: float | None
    tried: tuple[Tried, ...]
    chosen: Tried
    audited: tuple[AuditedModel, ...]

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
        models: the experiment's victims, then the searches' candidates that are audited.
        configuration: what was found, for the findings.
        files: the table of all searches, by artifact folder.
    """

    models: tuple[AuditedModel, ...]
    configuration: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Path] = field(default_factory=dict)


def run_searches(
    experiment: Experiment, models: Sequence[AuditedModel], layout: Layout, conductor: Conductor, console: Console
) -> Searches:
    """Carry out the experiment's searches on its victims `models`; what was measured before is not made again.

    Raises:
        DataError: too few known samples to attack with; LatentprintError: see `Conductor.make`.
    """
    if not experiment.searches:
        return Searches(tuple(models))
    conductor.make(conductor.recorded(job for model in models for job in model.trainings))
    found = [_Search(choice, experiment, models, layout, conductor).run(console) for choice in experiment.searches]
    by_key = {model.key: model for searched in found for model in searched.audited}
    new = [model for key, model in by_key.items() if key not in {model.key for model in models}]
    write_atomically(layout.searches, _csv([row for searched in found for row in searched.rows()]))
    results = {f"{one.choice.victim} under {one.choice.attack}": one.summary for one in found}
    return Searches((*models, *new), {"search_results": results}, {"searches": layout.searches})


def _csv(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@dataclass(frozen=True)
class _Search:
    """One search, in two stages."""

    choice: SearchChoice
    experiment: Experiment
    models: Sequence[AuditedModel]
    layout: Layout
    conductor: Conductor

    def run(self, console: Console) -> Searched:
        """Both stages, and which bound they chose."""
        choice = self.choice
        victim = next(model for model in self.models if model.name == choice.victim)
        require_samples(victim.split)
        undefended = None if victim.training is None else probe_accuracy(victim.training)
        least = None if undefended is None else undefended - choice.utility_loss
        first = self._stage(_FIRST, choice.coarse, victim)
        best, next_best = (one.lower for one in ranked(first, least)[:2])
        bounds = second_stage(best, next_best, choice.step, choice.coarse)
        tried = (*first, *self._stage(_SECOND, bounds, victim))
        chosen = ranked(tried, least)[0]
        say(
            console,
            f"SCSR on {choice.victim}: of {len(tried)} lower bounds, {chosen.lower} is chosen (AUC of {choice.attack} "
            f"{chosen.auc:.3f}, cross-validated over the known samples).",
        )
        kept = [one.lower for one in tried if one.lower in {*choice.coarse, chosen.lower}]
        return Searched(choice, undefended, tried, chosen, tuple(self._defended(lower, victim) for lower in kept))

    def _stage(self, number: int, bounds: Sequence[float], victim: AuditedModel) -> list[Tried]:
        """Train and measure the candidates of one stage side by side."""
        jobs = [self._candidate(lower, victim) for lower in bounds]
        self.conductor.make([*self.conductor.recorded(job.training for job in jobs), *jobs])
        measured = [job.measurement() for job in jobs]
        return [Tried(job.lower, number, one.auc, one.probe_accuracy) for job, one in zip(jobs, measured, strict=True)]

    def _candidate(self, lower: float, victim: AuditedModel) -> CandidateJob:
        training = _defended_training(self.choice, lower, victim)
        attack = next(a for a in map(self.experiment.attack, self.experiment.attacks) if a.name == self.choice.attack)
        seed, signals = self.experiment.seed, self.layout.signals(training.key)
        return CandidateJob(lower, training, attack.against(training.augmentation), seed, signals)

    def _defended(self, lower: float, victim: AuditedModel) -> AuditedModel:
        """The candidate as a victim: same data, split and seed, and what the adversary has."""
        placebo = None if victim.placebo is None else victim.placebo.samples
        return audited(_defended_training(self.choice, lower, victim), placebo=placebo, auxiliary=victim.auxiliary)


def _defended_training(choice: SearchChoice, lower: float, victim: AuditedModel) -> VictimJob:
    """The victim's training with its bound raised."""
    if victim.training is None:
        raise UsageError(f"{victim.name!r} is not trained here, so no defence of it can be searched.")
    defended = replace(victim.training.choice, name=choice.name(lower), defence=scsr(lower))
    return replace(victim.training, choice=defended)
