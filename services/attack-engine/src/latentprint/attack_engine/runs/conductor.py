"""The conductor: models are made, served, asked and attacked, each as soon as what it needs is there.

One path for an experiment's victims and for an endpoint that somebody else serves: plan, models, signals, evidence,
fits. One scheduler has all of it, so that no core waits for the end of a phase.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from os import cpu_count

from rich.console import Console
from rich.text import Text

from latentprint.attack_engine.asking.extract import close_workers, shard_tasks
from latentprint.attack_engine.models.victim import VictimJob
from latentprint.attack_engine.runs.cells import CellPlan
from latentprint.attack_engine.runs.evidence_jobs import EvidencePlan
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.record import record_trained
from latentprint.attack_engine.runs.serving import Endpoints, serving
from latentprint.attack_engine.runs.stored_signals import (
    AskedModels,
    AskingOptions,
    SignalsPlan,
    StoredSignals,
    plan_signals,
)
from latentprint.attack_engine.runs.threat_model import AuditedModel
from latentprint.attack_engine.scheduling.scheduler import Scheduler
from latentprint.attack_engine.scheduling.status import RunStatus
from latentprint.attack_engine.scheduling.task import ASKING, FITTING, MAKING, Task
from latentprint.attack_engine.scheduling.workers import RayWorkers, TaskWorkers
from latentprint.core.datasets import DatasetSpec, as_published
from latentprint.core.mirror import mirror_of
from latentprint.core.text import printable
from latentprint.core.tracking import Run

_FILES = ("sqlite:", "file:")  # stores of MLflow that are files of one machine


@dataclass(frozen=True)
class ConductorOptions:
    """How a run is carried out.

    Attributes:
        asking: how endpoints are asked.
        trainings: models that are made side by side.
        seed: of samples that are treated as the published code does.
        workers: who makes models, asks and fits.
        status: told what is done, for whoever watches.
    """

    asking: AskingOptions
    trainings: int = 2
    seed: int = 0
    workers: TaskWorkers = field(default_factory=RayWorkers)
    status: RunStatus = field(default_factory=RunStatus)

    @property
    def processes(self) -> int:
        """That have to fit on this machine at once."""
        return max(self.asking.workers, self.trainings)

    @property
    def limits(self) -> Mapping[str, int]:
        """Side by side, the foremost first: what is nearest to its end makes room for what comes after."""
        fits = max(self.processes, cpu_count() or 1)
        return {FITTING: fits, ASKING: self.asking.workers, MAKING: self.trainings}

    def scheduler(self, console: Console) -> Scheduler:
        """One that has tasks made so."""
        return Scheduler(self.limits, console, workers=self.workers, status=self.status)


@dataclass
class _Asking:
    """A model that is asked, for all cells that need it with the same adversary's samples."""

    model: AuditedModel
    cells: list[CellPlan]
    server: ExitStack = field(default_factory=ExitStack)
    signals: StoredSignals | None = None
    done: bool = False

    @property
    def trainings(self) -> Iterator[Task]:
        """What has to be trained before its cells are known."""
        for cell in self.cells:
            for job in cell.trainings:
                yield from (job, job.twin)


class Conductor:
    """Carries out the cells of one run.

    Args:
        layout: where everything goes.
        options: how.
        run: MLflow's run, whose children the trainings are; None logs nothing.
        console: where plans and progress are shown.
        endpoints: where models that somebody else serves are reached, by key.
    """

    def __init__(
        self,
        layout: Layout,
        options: ConductorOptions,
        run: Run | None,
        console: Console,
        endpoints: Mapping[str, Endpoints] | None = None,
    ) -> None:
        self._layout = layout
        self._options = options
        self._run = run
        self._console = console
        self._endpoints = endpoints or {}
        self._opened = ExitStack()
        self._being_asked: set[str] = set()
        self._to_record: list[VictimJob] = []

    def make(self, jobs: Iterable[Task]) -> None:
        """Make what of `jobs` is missing. Raises as `Scheduler.run` does."""
        missing = [job for job in jobs if not self._options.workers.is_finished(job)]
        if missing:
            with self._options.workers.session(self._options.processes):
                scheduler = self._options.scheduler(self._console)
                scheduler.add(missing)
                scheduler.run()
        self._record_made()

    def recorded(self, jobs: Iterable[VictimJob]) -> list[Task]:
        """`jobs` and their twins; each has a child of the run, whether it is made now or was before.

        What a job is derived from comes before it, so that it is that task, with its child, that the job waits for.
        """
        tasks: list[Task] = []
        for job in {one.key: one for asked in jobs for one in (*asked.ancestors, asked)}.values():
            if self._run is None:
                tasks += [job, job.twin]
                continue
            if self._options.workers.is_finished(job) or not self._is_reached(self._run):
                self._to_record.append(job)
                tasks += [job, job.twin]
            else:
                tasks += [job.logged_to(self._run), job.twin]
        return tasks

    def _is_reached(self, run: Run) -> bool:
        """Whether those who make models reach the store of a run: all do a server, and those here a file."""
        uri = run.address.uri
        return mirror_of(self._layout.root) is None or ("://" in uri and not uri.startswith(_FILES))

    def _record_made(self) -> None:
        """Log from their cards, once, the models that logged nothing to the run while they were made."""
        for job in self._to_record:
            if self._run is not None and job.finished and not self._run.has_finished(job.key):
                record_trained(self._run, job)
        self._to_record.clear()

    def carry_out(self, cells: Sequence[CellPlan]) -> list[CellPlan]:
        """Leave with scores every one of `cells` whose victim offers what its attack asks for; returns these.

        Raises:
            Interrupted: Ctrl-C or SIGTERM; what was done is kept.
            LatentprintError: whatever a user can mend.
        """
        tasks = self.recorded(job for cell in cells for job in cell.trainings)
        if self._endpoints or not all(map(self._options.workers.is_finished, tasks)) or self._missing(cells):
            with self._options.workers.session(self._options.processes), self._opened:
                self._scheduler = self._options.scheduler(self._console)
                self._scheduler.add(tasks)
                askings = _askings(cells)
                for asking in askings:
                    self._scheduler.when(asking.trainings, partial(self._begin, asking))
                for cell in cells:
                    own = [asking for asking in askings if any(one is cell for one in asking.cells)]
                    self._scheduler.until(partial(_are_done, own), partial(self._fit, cell, own))
                self._scheduler.run()
        self._record_made()
        return [cell for cell in cells if cell.is_offered]

    def _missing(self, cells: Iterable[CellPlan]) -> list[CellPlan]:
        """What has no scores yet of `cells`, whose models are trained."""
        return [cell for cell in cells if cell.is_offered and cell.stored(self._layout) is None]

    def _begin(self, asking: _Asking) -> None:
        """Have a model asked that is trained, where a cell without scores needs it; once at a time.

        What somebody else serves is always looked at: another model may answer there than the one that was scored.
        """
        key = asking.model.key
        cells = asking.cells if key in self._endpoints else self._missing(asking.cells)
        if not cells:
            asking.done = True
            return
        self._scheduler.until(lambda: key not in self._being_asked, partial(self._serve, asking, cells))

    def _serve(self, asking: _Asking, cells: Sequence[CellPlan]) -> None:
        model = asking.model
        self._being_asked.add(model.key)
        if model.key in self._endpoints:
            self._ask(asking, cells, self._endpoints[model.key])
            return
        audited = any(cell.model.key == model.key for cell in cells)
        host = self._options.workers.host
        sides = asking.server.enter_context(serving(model, beside=audited, host=host))
        self._opened.push(asking.server)
        self._scheduler.until(sides.is_ready, lambda: self._ask(asking, cells, sides.endpoints))

    def _ask(self, asking: _Asking, cells: Sequence[CellPlan], endpoints: Endpoints) -> None:
        """Ask a model, with the encoders beside it, for the signals of all attacks on it at once."""
        model, options = asking.model, self._options
        self._console.rule(Text(printable(model.name)))
        treated = any(cell.treated and cell.model.key == model.key for cell in cells)
        asked = AskedModels(
            endpoints,
            model.dataset,
            model.split,
            self._layout.signals(model.key),
            _treated(model, options.seed) if treated else None,
            next((cell.distillation for cell in cells if cell.distillation is not None), None),
        )
        attacks = [cell.attack_on(model.key) for cell in cells]
        plan = plan_signals(attacks, asked, options.asking, self._console)
        self._opened.enter_context(options.status.watching(plan.readers(model.name)))
        shards = shard_tasks(plan.plans, f"ask {model.name}", options.asking.workers, options.workers)
        self._opened.callback(close_workers, shards)
        self._scheduler.when(shards, partial(self._keep, asking, plan))

    def _keep(self, asking: _Asking, plan: SignalsPlan) -> None:
        """A model has been asked: its server goes."""
        asking.server.close()
        asking.signals = plan.stored()
        asking.done = True
        self._being_asked.discard(asking.model.key)

    def _fit(self, cell: CellPlan, askings: Sequence[_Asking]) -> None:
        """Have made what a cell needs beside answers, then fit it."""
        if not self._missing([cell]):
            return
        signals = {asking.model.key: asking.signals for asking in askings if asking.signals is not None}
        evidence = EvidencePlan(self._layout.models, signals)
        task = cell.task(evidence, self._layout)
        self._scheduler.when(evidence.jobs, lambda: self._scheduler.add([task]))


def _askings(cells: Sequence[CellPlan]) -> list[_Asking]:
    """The models to be asked, each with its cells; those that need no adversary's samples go with the first.

    Victims of the same weights, samples and controls are one, asked for what all attacks on either need.
    """
    audited = {cell.model.key: cell.model for cell in cells}
    needing: dict[tuple[str, ...], _Asking] = {}
    for cell in cells:
        for one in cell.asked:
            model = one if one is cell.model else audited.get(one.key, one)
            needing.setdefault((model.key, *_asked_with(model)), _Asking(model, [])).cells.append(cell)
    askings: dict[tuple[str, ...], _Asking] = {}
    for identity, together in needing.items():
        first = next((cell.auxiliary_digest for cell in together.cells if cell.auxiliary_digest), "")
        for cell in together.cells:
            own = askings.setdefault((*identity, cell.auxiliary_digest or first), _Asking(together.model, []))
            own.cells.append(cell)
    return list(askings.values())


def _asked_with(model: AuditedModel) -> tuple[str, ...]:
    """What else than weights tells two askings of a model apart: who is what of its samples, and who stands beside."""
    return model.split.digest, *(job.answers_key for job in model.beside.values())


def _are_done(askings: Sequence[_Asking]) -> bool:
    return all(asking.done for asking in askings)


def _treated(model: AuditedModel, seed: int) -> DatasetSpec:
    """The model's samples with its members treated as PartCrop's published code treats them."""
    members = tuple(model.split.ids(member=True).tolist())
    of = {"name": model.dataset.name, "options": dict(model.dataset.options)}
    return DatasetSpec(as_published.NAME, {"of": of, "treated": members, "seed": seed})
