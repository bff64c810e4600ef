"""Runs that are logged to: kept on disk first, sent as soon as the store takes it."""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from latentprint.core.errors import Interrupted, LatentprintError
from latentprint.core.text import say
from latentprint.core.tracking import databases, journal
from latentprint.core.tracking.delivery import Courier, Delivery
from latentprint.core.tracking.journal import Address, Journal

URI = "MLFLOW_TRACKING_URI"
_WARNING = "yellow"


def default_uri(root: Path) -> str:
    """`MLFLOW_TRACKING_URI` where set, else a local database under `root`/mlflow."""
    return os.environ.get(URI) or databases.database_uri((root / "mlflow" / "mlflow.db").resolve())


@dataclass(frozen=True)
class Run:
    """One MLflow run by address: small and picklable, so that a worker can log to it.

    Nothing that is logged waits for the store or fails with it: what the store does not take now is sent later.

    Attributes:
        address: of the run.
        unsent: folder where what is logged is kept until it is sent.
    """

    address: Address
    unsent: Path

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; a nested mapping's keys are joined with dots."""
        flat = {key: str(value) for key, value in _flattened(params)}
        if flat:
            self._log(journal.PARAMS, flat)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of one step."""
        values = {name: float(value) for name, value in metrics.items()}
        self._log(journal.METRICS, {"values": values, "step": step, "time": _now()})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self._log(journal.TAGS, {key: str(value) for key, value in tags.items()})

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file, or all of a folder, under the artifact path `folder`."""
        self._log(journal.FILE, {"path": str(self._journal.keep_file(path)), "folder": folder})

    def log_text(self, text: str, name: str) -> None:
        """Log `text` as the artifact file `name`."""
        self._log(journal.FILE, {"path": str(self._journal.keep_text(text, name)), "folder": None})

    def log_dataset(self, name: str, digest: str, context: str) -> None:
        """Record a data set (or split) as an input of the run, by name and digest."""
        self._log(journal.DATASET, {"name": name, "digest": digest, "context": context})

    def finish(self, status: str = "FINISHED") -> None:
        """End the run as "FINISHED", "FAILED" or "KILLED"."""
        self._log(journal.END, {"status": status, "time": _now()}, at_once=True)

    def send_all(self) -> Delivery:
        """Send all that is kept for this run's store, of this run and others."""
        return Courier(self.unsent, self.address.uri).send_all()

    def child(self, name: str, key: str) -> "Run":
        """The run below this one that carries `key`, resumed, or a new one."""
        child = Run(self.address.child(name, key), self.unsent)
        child.open()
        return child

    def has_finished(self, key: str) -> bool:
        """Whether a run below this one carries `key` and finished, as far as can be known now."""
        address = self.address.child("", key)
        if Journal(self.unsent, address).finished:
            return True
        return Courier(self.unsent, address.uri).has_finished(address)

    def open(self) -> None:
        """Say that the run goes on; one that was opened without a look at the store is not logged a second time."""
        blind = len(self.address.lineage) > 1 and bool(Courier(self.unsent, self.address.uri).resting)
        self._log(journal.OPEN, {"blind": blind, "status": "RUNNING"}, at_once=True)

    @property
    def _journal(self) -> Journal:
        return Journal(self.unsent, self.address)

    def _log(self, kind: str, content: Mapping[str, Any], *, at_once: bool = False) -> None:
        kept = self._journal
        kept.append(kind, content)
        if at_once or kept.due:
            Courier(self.unsent, self.address.uri).send(kept)


def open_run(uri: str, experiment: str, name: str, key: str, artifacts: Path) -> Run:
    """The run of `experiment` that carries `key`, resumed, or a new one.

    `artifacts` holds the files of an experiment made here in a local database; a tracking server keeps its own. What
    cannot be sent is kept beside it.

    Raises:
        DataError: the folder cannot be written to.
    """
    place = artifacts.resolve().as_uri() if uri.startswith(databases.SQLITE) else ""
    run = Run(Address(uri, experiment, place, ((name, key),)), artifacts.resolve().with_name("unsent"))
    run.open()
    return run


@contextmanager
def finishing(run: Run) -> Iterator[Run]:
    """End `run` when the block ends: FINISHED, KILLED on an interrupt, FAILED on an error."""
    try:
        yield run
    except (KeyboardInterrupt, Interrupted):
        run.finish("KILLED")
        raise
    except BaseException:
        run.finish("FAILED")
        raise
    run.finish()


@contextmanager
def tracked(run: Run, console: Console) -> Iterator[Run]:
    """As `finishing`, for the outermost run: says what the store cannot take now, and sends at the end what it can."""
    trouble = Courier(run.unsent, run.address.uri).resting
    if trouble:
        _warn(console, f"MLflow at {run.address.store} {trouble}: what is logged is kept in {run.unsent} meanwhile.")
    try:
        with finishing(run):
            yield run
    finally:
        _send_the_rest(run, console)


def _send_the_rest(run: Run, console: Console) -> None:
    try:
        delivery = run.send_all()
    except LatentprintError as error:
        _warn(console, str(error))
        return
    for note in delivery.notes:
        _warn(console, note)
    if delivery.kept:
        _warn(
            console,
            f"{delivery.kept} runs are not in MLflow: {run.address.store} {delivery.problem}. They are kept in "
            f"{run.unsent}; the next run with this root sends them, and so does latentprint track --root "
            f"{run.unsent.parent.parent}.",
        )


def _warn(console: Console, sentence: str) -> None:
    say(console, f"warning: {sentence}", _WARNING)


def _now() -> int:
    return int(time.time() * 1000)


def _flattened(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
