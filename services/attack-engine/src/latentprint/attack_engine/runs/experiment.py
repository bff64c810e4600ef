"""Run an experiment: its victims are planned, made, asked and attacked; then judged together and reported."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from latentprint.attack_engine.asking.server_process import require_server
from latentprint.attack_engine.evidence.controls import CONTROLS
from latentprint.attack_engine.models.victim import VictimJob
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import VictimDescription
from latentprint.attack_engine.runs.cells import CellPlan, plan_cells
from latentprint.attack_engine.runs.conductor import Conductor, ConductorOptions
from latentprint.attack_engine.runs.config import Experiment
from latentprint.attack_engine.runs.finish import FinishedAudit, announce, write_report
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.plan import plan_victims, require_enough_references, require_units
from latentprint.attack_engine.runs.searches import run_searches
from latentprint.attack_engine.runs.stored_signals import AskingOptions
from latentprint.attack_engine.scheduling.status import RunStatus
from latentprint.attack_engine.scheduling.workers import RayWorkers
from latentprint.attack_engine.statistics.discoveries import FDR
from latentprint.core.bundles import read_card
from latentprint.core.checks import require_folder
from latentprint.core.config import load_yaml
from latentprint.core.digests import digest_file, digest_json
from latentprint.core.errors import DataError
from latentprint.core.mirror import mirror_of
from latentprint.core.ray_session import require_cluster
from latentprint.core.tracking import default_uri, new_run, tracked


def run_experiment(
    experiment: Experiment,
    source: Path,
    root: Path,
    console: Console,
    part: str = "",
    status: RunStatus | None = None,
) -> Path:
    """Run `experiment`, read from `source`, with everything below `root`; returns the report's path.

    What exists is not made again. The results go to the folder `part` below the experiment's, "" for that itself.
    `status` is told what is done, for whoever watches.

    Raises:
        LatentprintError: whatever a user can mend; run again, it goes on from where it was.
    """
    require_folder(root, "--root")
    require_cluster()
    require_server()
    layout, name = Layout(root, experiment.folder, part), experiment.title or experiment.name
    name += f", {part}" if part else ""
    victims = plan_victims(experiment, layout)
    for choice, victim in zip(experiment.victims, victims, strict=True):
        attacks = experiment.attacks_on(choice)
        require_enough_references(attacks, [victim])
        require_units(attacks, [victim])
    facts = {
        "experiment": digest_file(source),
        "scale": experiment.scale,
        "seed": experiment.seed,
        "victims": [one.key for one in victims],
    }
    run = new_run(default_uri(root), experiment.folder, name, digest_json(facts), layout.mlflow)
    asking = AskingOptions(experiment.workers, experiment.budget, experiment.keep_answers)
    mirror = mirror_of(root)
    options = ConductorOptions(
        asking, experiment.trainings, experiment.seed, RayWorkers(mirror), status=status or RunStatus()
    )
    with tracked(run, console):
        conductor = Conductor(layout, options, run, console)
        searches = run_searches(experiment, victims, layout, conductor, console)
        cells = conductor.carry_out(list(plan_cells(experiment, searches.models)))
        finished = list(finished_cells(cells, layout, fdr=experiment.fdr))
        report = write_report(
            name,
            finished,
            layout,
            configuration={**load_yaml(source), "seed": experiment.seed, **searches.configuration},
            scale=experiment.scale,
            published=experiment.published,
        )
        if mirror is not None:
            mirror.push(layout.results)
        announce(report, finished, layout, run, console, {"experiment": source, **searches.files})
        return report.path


def finished_cells(
    cells: Sequence[CellPlan], layout: Layout, described: Mapping[str, str] = CONTROLS, *, fdr: float = FDR
) -> Iterator[FinishedAudit]:
    """The cells with their scores; those of one victim share its description, whichever server answered them.

    `described` says what each null control is, and `fdr` what members lists are held to.
    """
    victims: dict[str, VictimDescription] = {}
    for cell in cells:
        stored, model = cell.stored(layout), cell.model
        if stored is None:
            raise DataError(f"The cell {layout.cell(cell.key)} vanished while the run went on: run it again.")
        if model.name not in victims:
            url, training = str(stored.card["url"]), {} if model.training is None else _described(model.training)
            victims[model.name] = VictimDescription(model.name, url, model.dataset.name, stored.card, training)
        victim = victims[model.name]
        attack = cell.attack.on(stored.outputs, victim.url)
        samples = model.dataset, model.split
        audited = Audit(victim, attack, stored, *samples, cell.seed, cell.fitted_on, described, fdr)
        yield FinishedAudit(cell.key, audited)


def _described(job: VictimJob) -> dict[str, object]:
    """How a victim was trained, from its card."""
    card = read_card(job.folder)
    return {"recipe": card.recipe, "options": card.options, **card.training}
