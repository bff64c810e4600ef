"""Runs that are logged to: kept on disk first, sent as soon as the store takes it."""

import getpass
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentprint.core.text import printable
from latentprint.core.tracking import databases, journal
from latentprint.core.tracking.delivery import Courier, Delivery
from latentprint.core.tracking.inputs import Input
from latentprint.core.tracking.journal import Address, Journal
from latentprint.core.tracking.sender import is_sent_beside

URI = "MLFLOW_TRACKING_URI"
DESCRIPTION_TAG, _TABLES_TAG = "mlflow.note.content", "mlflow.loggedArtifacts"
_MOST_ROWS = 10_000  # of a table that a page shows


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
        self._log(journal.METRICS, {"values": values, "step": step, "time": now()})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        self._log(journal.TAGS, {key: str(value) for key, value in tags.items()})

    def describe(self, text: str) -> None:
        """Set the run's description, which MLflow shows above all else."""
        self.set_tags({DESCRIPTION_TAG: text})

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file, or all of a folder, under the artifact path `folder`."""
        self._log(journal.FILE, {"path": str(self._journal.keep_file(path)), "folder": folder})

    def log_text(self, text: str, name: str) -> None:
        """Log `text` as the artifact file `name`."""
        self._log(journal.FILE, {"path": str(self._journal.keep_text(text, name)), "folder": None})

    def log_table(self, columns: Mapping[str, Sequence[Any]], name: str) -> None:
        """Log a table that MLflow shows, by column, as the artifact file `name` (.json): its first 10,000 rows."""
        rows = [list(row) for row in zip(*(column[:_MOST_ROWS] for column in columns.values()), strict=True)]
        self.log_text(json.dumps({"columns": list(columns), "data": rows}), name)
        self.set_tags({_TABLES_TAG: json.dumps([{"path": name, "type": "table"}])})

    def log_input(self, what: Input, context: str) -> None:
        """Record a data set (or split) as an input of the run."""
        self._log(journal.DATASET, {**what.plain, "context": context})

    def log_dataset(self, name: str, digest: str, context: str) -> None:
        """Record a data set (or split) of which no more than name and digest is known as an input of the run."""
        self.log_input(Input(name, digest), context)

    def register_model(self, bundle: Path, name: str, tags: Mapping[str, str], description: str) -> None:
        """Make `bundle` the newest version of the registered model `name`, once for each key of a run.

        A local store points at the folder as it lies; any other gets a copy of it among the run's artifacts.
        """
        source = bundle.resolve().as_uri() if self.address.local else ""
        kept = "" if source else str(self._journal.keep_file(bundle))
        content = {"path": kept, "source": source, "name": name, "tags": dict(tags), "description": description}
        self._log(journal.MODEL, content)

    def finish(self, status: str = journal.FINISHED, ended: int | None = None) -> None:
        """End the run as "FINISHED", "FAILED" or "KILLED", now or at `ended`, milliseconds since 1970."""
        self._log(journal.END, {"status": status, "time": now() if ended is None else ended}, at_once=True)

    def send_all(self) -> Delivery:
        """Send all that is kept for this run's store, of this run and others."""
        return Courier(self.unsent, self.address.uri).send_all()

    def child(self, name: str, key: str, started: int | None = None) -> "Run":
        """The run below this one that carries `key`, resumed, or a new one that began now or at `started`."""
        child = Run(self.address.child(name, key, now() if started is None else started), self.unsent)
        child.open()
        return child

    def has_finished(self, key: str) -> bool:
        """Whether a run below this one carries `key` and finished, as far as can be known now."""
        address = self.address.child("", key, 0)
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
        """Keep an entry. Where nobody sends beside the work, as on another machine's disk, it is sent from here."""
        kept = self._journal
        kept.append(kind, content)
        if (at_once or kept.due) and not is_sent_beside(self.unsent, self.address.uri):
            Courier(self.unsent, self.address.uri).send(kept)


def new_run(uri: str, experiment: str, name: str, key: str, artifacts: Path) -> Run:
    """The run of `experiment` that carries `key`, to be opened by `tracked`.

    `artifacts` holds the files of an experiment made here in a local database; a tracking server keeps its own. What
    cannot be sent is kept beside it.
    """
    place = artifacts.resolve().as_uri() if uri.startswith(databases.SQLITE) else ""
    address = Address(uri, experiment, place, ((name, key),), (now(),), _user(), _source())
    return Run(address, artifacts.resolve().with_name("unsent"))


def open_run(uri: str, experiment: str, name: str, key: str, artifacts: Path) -> Run:
    """As `new_run`, opened.

    Raises:
        DataError: the folder cannot be written to.
    """
    run = new_run(uri, experiment, name, key, artifacts)
    run.open()
    return run


def now() -> int:
    """Milliseconds since 1970, as MLflow counts."""
    return int(time.time() * 1000)


def _user() -> str:
    """Who runs this; "" where the system does not say, as in a container."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _source() -> str:
    """The command, without its arguments, which may hold what is nobody's business."""
    command, subcommand = Path(sys.argv[0]).name, next((one for one in sys.argv[1:] if one.isalpha()), "")
    return printable(f"{command} {subcommand}" if command == "latentprint" else command)


def _flattened(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
