"""Run an experiment: train, serve, ask, attack, evaluate, record, report. What exists is not made again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from leakscope.attack_engine.attacks import Attack
from leakscope.attack_engine.audits.conclude import AuditedCell
from leakscope.attack_engine.audits.gather import Effort, Subject, gather
from leakscope.attack_engine.audits.store import StoredCell, read_cell, write_cell
from leakscope.attack_engine.endpoints import EndpointSpec
from leakscope.attack_engine.evaluation.results import Victim
from leakscope.attack_engine.extraction import ray_session
from leakscope.attack_engine.runs.config import Experiment
from leakscope.attack_engine.runs.finish import FinishedCell, finish
from leakscope.attack_engine.runs.layout import Layout
from leakscope.attack_engine.runs.serving import served
from leakscope.attack_engine.runs.training import train_missing
from leakscope.attack_engine.runs.victims import VictimJob
from leakscope.core.bundles import read_card
from leakscope.core.config import load_yaml
from leakscope.core.digests import digest_code, digest_file, digest_json
from leakscope.core.errors import DataError
from leakscope.core.splits import draw_split, write_split
from leakscope.core.tracking import default_uri, finishing, open_run

_CODE = ("leakscope.attack_engine.attacks", "leakscope.attack_engine.audits", "leakscope.core.views")


@dataclass(frozen=True)
class _Cell:
    """A victim under an attack, before and after it has scores."""

    job: VictimJob
    attack: Attack
    key: str

    def stored(self, layout: Layout) -> StoredCell | None:
        return read_cell(layout.cell(self.key))


def run_experiment(experiment: Experiment, source: Path, root: Path, console: Console) -> Path:
    """Run `experiment`, read from `source`, with everything below `root`; returns the report's path.

    Raises:
        LeakscopeError: whatever a user can mend; run again, it goes on from where it was.
    """
    layout = Layout(root, experiment.name)
    jobs = plan_victims(experiment, layout)
    key = digest_json({"experiment": digest_file(source), "victims": [job.key for job in jobs]})
    run = open_run(default_uri(root), experiment.name, experiment.title or experiment.name, key, layout.mlflow)
    with finishing(run):
        train_missing(jobs, run, experiment, console)
        cells = list(_cells(experiment, jobs))
        _attack_missing(cells, experiment, layout, console)
        finished = list(_finished(cells, experiment.seed, layout))
        title = experiment.title or experiment.name
        files = {"experiment": source}
        return finish(title, finished, layout, run, console, configuration=load_yaml(source), files=files)


def plan_victims(experiment: Experiment, layout: Layout) -> list[VictimJob]:
    """The experiment's victims, their splits drawn and written."""
    jobs = []
    for choice in experiment.victims:
        drawn = experiment.splits[choice.split]
        spec = experiment.datasets[drawn.dataset]
        split = draw_split(
            spec.open(),
            members=drawn.members,
            non_members=drawn.non_members,
            known_fraction=drawn.known_fraction,
            seed=experiment.seed if drawn.seed is None else drawn.seed,
            source=spec,
        )
        path = layout.split(split.digest)
        if not path.exists():
            write_split(split, path)
        seed = experiment.seed if choice.seed is None else choice.seed
        jobs.append(VictimJob(choice, spec, split, path, seed, layout.victims))
    return jobs


def _cells(experiment: Experiment, jobs: Sequence[VictimJob]) -> Iterator[_Cell]:
    """Every victim with every attack whose outputs it offers."""
    attacks = [experiment.attack(choice) for choice in experiment.attacks]
    code = digest_code(*_CODE)
    for job in jobs:
        card, twin = read_card(job.folder), read_card(job.twin_folder)
        for attack in attacks:
            if set(attack.outputs) <= set(card.outputs):
                weights = (card.weights_digest, twin.weights_digest)
                key = digest_json([*weights, repr(attack), job.split.digest, experiment.seed, code])
                yield _Cell(job, attack, key)


def _attack_missing(cells: Sequence[_Cell], experiment: Experiment, layout: Layout, console: Console) -> None:
    missing = [cell for cell in cells if cell.stored(layout) is None]
    if not missing:
        return
    effort = Effort(experiment.workers, experiment.budget, experiment.keep_answers)
    with ray_session(experiment.workers):
        for key in dict.fromkeys(cell.job.key for cell in missing):
            wanted = [cell for cell in missing if cell.job.key == key]
            _attack(wanted, effort, experiment.seed, layout, console)


def _attack(cells: Sequence[_Cell], effort: Effort, seed: int, layout: Layout, console: Console) -> None:
    """Serve one victim and its twin, and attack both."""
    job = cells[0].job
    name = job.choice.name
    console.rule(name)
    bundles = {name: str(job.folder), f"{name}-untrained": str(job.twin_folder)}
    with served(bundles, options=["--deterministic"] if job.choice.deterministic else []) as (victim, twin):
        subject = Subject(EndpointSpec(victim), EndpointSpec(twin), job.dataset, job.split, layout.signals(job.key))
        stored = gather([cell.attack for cell in cells], subject, effort, seed, console)
    for cell, result in zip(cells, stored, strict=True):
        write_cell(result, layout.cell(cell.key))


def _finished(cells: Sequence[_Cell], seed: int, layout: Layout) -> Iterator[FinishedCell]:
    """The cells with their scores; those of one victim share its description, whichever server answered them."""
    victims: dict[str, Victim] = {}
    for cell in cells:
        stored, job = cell.stored(layout), cell.job
        if stored is None:
            raise DataError(f"The cell {layout.cell(cell.key)} vanished while the experiment ran: run it again.")
        victim = victims.setdefault(job.choice.name, _victim(job, stored))
        yield FinishedCell(cell.key, AuditedCell(victim, cell.attack, stored, job.dataset, job.split, seed))


def _victim(job: VictimJob, stored: StoredCell) -> Victim:
    card = read_card(job.folder)
    training = {"recipe": card.recipe, "options": card.options, **card.training}
    return Victim(job.choice.name, str(stored.card["url"]), job.dataset.name, stored.card, training)
