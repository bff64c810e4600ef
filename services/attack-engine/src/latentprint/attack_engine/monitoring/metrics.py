"""A run's state as Prometheus reads it."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import product

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from latentprint.attack_engine.scheduling.status import STATES, AskedFigures, RunStatus
from latentprint.attack_engine.scheduling.task import ASKING, FITTING, MAKING
from latentprint.core.text import printable

_DISTRIBUTION = "latentprint-attack-engine"
_OF = ("model", "side")


def run_registry(status: RunStatus, command: str, name: str) -> CollectorRegistry:
    """All that is told of one run.

    Args:
        status: the run's.
        command: that it was started by, as "audit".
        name: of the run.
    """
    registry = CollectorRegistry()
    registry.register(RunCollector(status, command, name))
    ProcessCollector(registry=registry)
    return registry


class RunCollector(Collector):
    """Reads a run's state whenever it is wanted; nothing is counted twice, and nothing costs where nobody reads.

    Args: see `run_registry`.
    """

    def __init__(self, status: RunStatus, command: str, name: str) -> None:
        self._status = status
        self._info = (command, printable(name), version(_DISTRIBUTION))

    def collect(self) -> Iterable[Metric]:
        """All metrics of the run, as they are now."""
        yield _gauge("run_info", "The run", ("command", "run", "version"), [(self._info, 1)])
        counts = self._status.tasks
        states = [(of, counts.get(of, 0)) for of in product((ASKING, FITTING, MAKING), STATES)]
        yield _gauge("tasks", "Tasks by kind of work and state", ("kind", "state"), states)
        titles = [((printable(title), state.unit), state) for title, state in self._status.titles.items()]
        by = ("title", "unit")
        yield _gauge("done_units", "Units of work that are done", by, [(of, state.done) for of, state in titles])
        known = [(of, state.total) for of, state in titles if state.total is not None]
        yield _gauge("planned_units", "Units of work in all", by, known)
        last = "When a task last came further, seconds since the epoch"
        yield _gauge("last_progress_timestamp_seconds", last, (), [((), self._status.progressed)])
        errors = [((kind,), count) for kind, count in self._status.errors.items()]
        yield _counter("errors", "Errors that ended the run", ("kind",), errors)
        yield from _asked([reader() for reader in self._status.readers])


def _asked(figures: Sequence[AskedFigures]) -> Iterator[Metric]:
    """What endpoints were asked."""
    images = [
        ((*_whose(one), printable(signal), outcome), count)
        for one in figures
        for (signal, outcome), count in sorted(one.images.items())
    ]
    yield _counter(
        "images", "Images by what became of them, over all runs on the ledger", (*_OF, "signal", "outcome"), images
    )
    spent = [(_whose(one), one.spent) for one in figures]
    yield _gauge("budget_spent_images", "Images charged to the budget, or what would be", _OF, spent)
    left = [(_whose(one), one.left) for one in figures if one.left is not None]
    yield _gauge("budget_left_images", "Images that may still be asked, where there is a budget", _OF, left)
    current = [(_whose(one), float(one.current)) for one in figures]
    yield _gauge("ledger_current", "1 where the ledger was read, 0 where figures are old", _OF, current)


def _whose(figures: AskedFigures) -> tuple[str, str]:
    return printable(figures.model), figures.side


Values = Iterable[tuple[Sequence[str], float]]


def _gauge(name: str, meaning: str, labels: Sequence[str], values: Values) -> Metric:
    family = GaugeMetricFamily(f"latentprint_engine_{name}", meaning, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def _counter(name: str, meaning: str, labels: Sequence[str], values: Values) -> Metric:
    family = CounterMetricFamily(f"latentprint_engine_{name}", meaning, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family
