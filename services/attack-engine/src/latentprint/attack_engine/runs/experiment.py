"""Run an experiment: train, serve, ask, attack, evaluate, record, report. What exists is not made again."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.extract import ray_session
from latentprint.attack_engine.audits.gather import Effort, Gathered, Subject, gather
from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.header import VictimDescription
from latentprint.attack_engine.runs.cells import CellPlan, placebos, plan_cells, shadows
from latentprint.attack_engine.runs.config import Experiment
from latentprint.attack_engine.runs.enough import require_enough_references
from latentprint.attack_engine.runs.finish import FinishedAudit, finish
from latentprint.attack_engine.runs.fitting import fit_cells
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.making import make_missing
from latentprint.attack_engine.runs.preparing import Workshop
from latentprint.attack_engine.runs.searches import run_searches
from latentprint.attack_engine.runs.serving import require_server, served
from latentprint.attack_engine.runs.training import train_missing
from latentprint.attack_engine.runs.victims import Adversary, VictimJob
from latentprint.core.bundles import read_card
from latentprint.core.checks import require_folder
from latentprint.core.config import load_yaml
from latentprint.core.datasets import Dataset, DatasetSpec, as_published
from latentprint.core.digests import digest_file, digest_json
from latentprint.core.errors import DataError
from latentprint.core.partitions import Partition, draw_partition, draw_placebo
from latentprint.core.ray_session import require_cluster
from latentprint.core.splits import Split, draw_split, write_split
from latentprint.core.text import printable
from latentprint.core.tracking import default_uri, open_run, tracked


def run_experiment(experiment: Experiment, source: Path, root: Path, console: Console) -> Path:
    """Run `experiment`, read from `source`, with everything below `root`; returns the report's path.

    Raises:
        LatentprintError: whatever a user can mend; run again, it goes on from where it was.
    """
    require_folder(root, "--root")
    require_cluster()
    require_server()
    layout = Layout(root, experiment.folder)
    jobs = plan_victims(experiment, layout)
    require_enough_references(experiment, jobs)
    facts = {"experiment": digest_file(source), "scale": experiment.scale, "victims": [job.key for job in jobs]}
    run = open_run(
        default_uri(root), experiment.folder, experiment.title or experiment.name, digest_json(facts), layout.mlflow
    )
    with tracked(run, console):
        train_missing([*jobs, *shadows(experiment, jobs), *placebos(jobs)], run, experiment, console)
        searches = run_searches(experiment, jobs, layout, run, console)
        train_missing(placebos(searches.jobs), run, experiment, console)
        cells = list(plan_cells(experiment, searches.jobs))
        _attack_missing(cells, experiment, layout, console)
        finished = list(_finished(cells, experiment.seed, layout))
        return finish(
            experiment.title or experiment.name,
            finished,
            layout,
            run,
            console,
            configuration={**load_yaml(source), **searches.configuration},
            files={"experiment": source, **searches.files},
            scale=experiment.scale,
            published=experiment.published,
        )


def plan_victims(experiment: Experiment, layout: Layout) -> list[VictimJob]:
    """The experiment's victims, their splits drawn and written."""
    opened = {name: spec.open() for name, spec in experiment.datasets.items()}
    splits = {name: _drawn(experiment, name, opened) for name in dict.fromkeys(v.split for v in experiment.victims)}
    controls = {name: _placebo(experiment, name, parts, opened) for name, parts in splits.items()}
    jobs = []
    for choice in experiment.victims:
        drawn, parts = experiment.splits[choice.split], splits[choice.split]
        seed = experiment.seed if choice.seed is None else choice.seed
        path, workers = _written(parts.target, layout), experiment.training_workers
        job = VictimJob(choice, experiment.datasets[drawn.dataset], parts.target, path, seed, layout.victims, workers)
        if parts.shadow is not None:
            theirs = experiment.datasets[drawn.auxiliary or drawn.dataset]
            job = replace(job, adversary=Adversary(theirs, parts.shadow, _written(parts.shadow, layout)))
        placebo = controls.get(choice.split)
        if placebo is not None:
            job = replace(job, placebo_split=placebo, placebo_path=_written(placebo, layout))
        jobs.append(job)
    return jobs


def _placebo(experiment: Experiment, name: str, parts: Partition, opened: Mapping[str, Dataset]) -> Split | None:
    """Other samples for encoders made like the victims of one split; None where none is wanted or too few are left."""
    if experiment.placebo == "none":
        return None
    drawn = experiment.splits[name]
    seed = experiment.seed if drawn.seed is None else drawn.seed
    return draw_placebo(opened[drawn.dataset], parts, seed=seed, source=experiment.datasets[drawn.dataset])


def _written(split: Split, layout: Layout) -> Path:
    path = layout.split(split.digest)
    if not path.exists():
        write_split(split, path)
    return path


def _drawn(experiment: Experiment, name: str, opened: dict[str, Dataset]) -> Partition:
    drawn = experiment.splits[name]
    seed = experiment.seed if drawn.seed is None else drawn.seed
    dataset, source = opened[drawn.dataset], experiment.datasets[drawn.dataset]
    if drawn.sizes is None:
        split = draw_split(
            dataset,
            members=drawn.members,
            non_members=drawn.non_members,
            known_fraction=drawn.known_fraction,
            seed=seed,
            source=source,
        )
        return Partition(split, None)
    return draw_partition(
        dataset,
        drawn.sizes,
        seed=seed,
        known_fraction=drawn.known_fraction,
        source=source,
        auxiliary=opened[drawn.auxiliary] if drawn.auxiliary else None,
        auxiliary_source=experiment.datasets[drawn.auxiliary] if drawn.auxiliary else None,
    )


def _attack_missing(cells: Sequence[CellPlan], experiment: Experiment, layout: Layout, console: Console) -> None:
    """Ask every victim that a missing cell needs, prepare what is missing, then fit the missing cells side by side."""
    missing = [cell for cell in cells if cell.stored(layout) is None]
    if not missing:
        return
    effort = Effort(experiment.workers, experiment.budget, experiment.keep_answers)
    with ray_session(max(experiment.workers, experiment.trainings)):
        gathered = {}
        for (key, lesson), asked in _askings(missing).items():
            job = next(job for cell in asked for job in cell.jobs if job.key == key)
            gathered[key, lesson] = _ask(job, asked, effort, experiment.seed, layout, console)
            gathered.setdefault((key, ""), gathered[key, lesson])
        shop = Workshop(layout, gathered)
        work = [cell.work(shop, experiment) for cell in missing]
        make_missing(shop.missing, console, side_by_side=experiment.trainings)
        fit_cells(work, console)


def _askings(cells: Sequence[CellPlan]) -> dict[tuple[str, str], list[CellPlan]]:
    """The cells that ask an encoder, by its key and their lesson; those without a lesson go with its first."""
    askings: dict[tuple[str, str], list[CellPlan]] = {}
    for key in dict.fromkeys(job.key for cell in cells for job in cell.jobs):
        asking = [cell for cell in cells if key in {job.key for job in cell.jobs}]
        first = next((cell.lesson for cell in asking if cell.lesson), "")
        for cell in asking:
            askings.setdefault((key, cell.lesson or first), []).append(cell)
    return askings


def _ask(
    job: VictimJob, cells: Sequence[CellPlan], effort: Effort, seed: int, layout: Layout, console: Console
) -> Gathered:
    """Serve one encoder, with its twin where it is audited, and extract from both what `cells` need."""
    name = job.choice.name
    console.rule(Text(printable(name)))
    attacks = [cell.attack_on(job) for cell in cells]
    treated = _treated(job, seed) if any(cell.treated and cell.job.key == job.key for cell in cells) else None
    served_as = name.replace(" ", "-")
    bundles = {served_as: str(job.folder)}
    if any(cell.job.key == job.key for cell in cells):
        bundles[f"{served_as}-untrained"] = str(job.twin_folder)
        if job.placebo is not None:
            bundles[f"{served_as}-placebo"] = str(job.placebo.folder)
    with served(bundles, options=["--deterministic"] if job.choice.deterministic else []) as urls:
        victim, twin, placebo, *_ = (*map(EndpointSpec, urls), None, None)
        distillation = next((cell.distillation for cell in cells if cell.distillation is not None), None)
        folder = layout.signals(job.key)
        subject = Subject(victim, twin, job.dataset, job.split, folder, treated, distillation, placebo)
        return gather(attacks, subject, effort, console)


def _treated(job: VictimJob, seed: int) -> DatasetSpec:
    """The job's samples with its members treated as PartCrop's published code treats them."""
    members = tuple(job.split.ids(member=True).tolist())
    of = {"name": job.dataset.name, "options": dict(job.dataset.options)}
    return DatasetSpec(as_published.NAME, {"of": of, "treated": members, "seed": seed})


def _finished(cells: Sequence[CellPlan], seed: int, layout: Layout) -> Iterator[FinishedAudit]:
    """The cells with their scores; those of one victim share its description, whichever server answered them."""
    victims: dict[str, VictimDescription] = {}
    for cell in cells:
        stored, job = cell.stored(layout), cell.job
        if stored is None:
            raise DataError(f"The cell {layout.cell(cell.key)} vanished while the experiment ran: run it again.")
        name = job.choice.name
        if name not in victims:
            card = read_card(job.folder)
            training = {"recipe": card.recipe, "options": card.options, **card.training}
            victims[name] = VictimDescription(name, str(stored.card["url"]), job.dataset.name, stored.card, training)
        attack, shadow = cell.attack.on(stored.outputs, victims[name].url), cell.fitted_on
        audit = Audit(victims[name], attack, stored, job.dataset, job.split, seed, shadow)
        yield FinishedAudit(cell.key, audit)
