"""MLflow in one place: experiments, runs and what is logged to them.

Runs are addressed by id through a client, never through MLflow's process-wide active run, so that several
audits can log side by side. A run carries a content key as a tag: what is already logged is found again.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset as LoggedDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from leakscope.core.errors import DataError, Interrupted
from leakscope.core.files import writing

KEY_TAG = "leakscope.key"
_PARENT_TAG = "mlflow.parentRunId"
_MAX_PARAM = 6000
_MAX_DIGEST = 36
_BUFFERING = "MLFLOW_ASYNC_LOGGING_BUFFERING_SECONDS"
URI = "MLFLOW_TRACKING_URI"


def default_uri(root: Path) -> str:
    """`MLFLOW_TRACKING_URI` where set, else a local database under `root`/mlflow."""
    return os.environ.get(URI) or f"sqlite:///{(root / 'mlflow' / 'mlflow.db').resolve()}"


@dataclass(frozen=True)
class Run:
    """One MLflow run by address: small and picklable, so that a worker can log to it."""

    uri: str
    experiment_id: str
    run_id: str

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters; a nested mapping's keys are joined with dots."""
        flat = [Param(key, str(value)[:_MAX_PARAM]) for key, value in _flattened(params)]
        if flat:
            _client(self.uri).log_batch(self.run_id, params=flat)

    def log_metrics(self, metrics: Mapping[str, float], step: int = 0) -> None:
        """Log metrics of one step without waiting for the store; `finish` waits."""
        now = int(time.time() * 1000)
        batch = [Metric(name, float(value), now, step) for name, value in metrics.items()]
        _client(self.uri).log_batch(self.run_id, metrics=batch, synchronous=False)

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags."""
        _client(self.uri).log_batch(self.run_id, tags=[RunTag(key, str(value)) for key, value in tags.items()])

    def log_artifact(self, path: Path, folder: str | None = None) -> None:
        """Log a file, or all of a folder, under the artifact path `folder`."""
        client = _client(self.uri)
        if path.is_dir():
            client.log_artifacts(self.run_id, str(path), folder)
        else:
            client.log_artifact(self.run_id, str(path), folder)

    def log_text(self, text: str, name: str) -> None:
        """Log `text` as the artifact file `name`."""
        _client(self.uri).log_text(self.run_id, text, name)

    def log_dataset(self, name: str, digest: str, context: str) -> None:
        """Record a data set (or split) as an input of the run, by name and digest."""
        dataset = LoggedDataset(name, digest[:_MAX_DIGEST], "leakscope", name)
        _client(self.uri).log_inputs(self.run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    def finish(self, status: str = "FINISHED") -> None:
        """Wait for what is being logged and end the run as "FINISHED", "FAILED" or "KILLED"."""
        _client(self.uri).set_terminated(self.run_id, status)

    def child(self, name: str, key: str = "") -> "Run":
        """The run below this one that carries `key`, resumed, or a new one."""
        return _resume_or_start(self.uri, self.experiment_id, name, {KEY_TAG: key, _PARENT_TAG: self.run_id})

    def finished_child(self, key: str) -> "Run | None":
        """The finished run below this one that carries `key`, if there is one."""
        return _find(self.uri, self.experiment_id, {KEY_TAG: key, _PARENT_TAG: self.run_id}, "FINISHED")


def open_run(uri: str, experiment: str, name: str, key: str, artifacts: Path) -> Run:
    """The run of `experiment` that carries `key`, resumed, or a new one.

    `artifacts` holds the files of an experiment made here in a local database; a tracking server keeps its own.

    Raises:
        DataError: the store cannot be reached.
    """
    os.environ.setdefault(_BUFFERING, "1")
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)  # it reports every table of a new database
    local = uri.startswith("sqlite:///")
    if local:
        database = Path(uri.removeprefix("sqlite:///"))
        with writing(database):
            database.parent.mkdir(parents=True, exist_ok=True)
    try:
        client = _client(uri)
        found = client.get_experiment_by_name(experiment)
        location = artifacts.resolve().as_uri() if local else None
        experiment_id = found.experiment_id if found else client.create_experiment(experiment, location)
        return _resume_or_start(uri, experiment_id, name, {KEY_TAG: key})
    except MlflowException as error:
        raise DataError(f"The MLflow store {uri} does not answer: {' '.join(str(error).split())[:200]}") from None


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


def _resume_or_start(uri: str, experiment_id: str, name: str, tags: Mapping[str, str]) -> Run:
    found = _find(uri, experiment_id, tags, None)
    if found is not None:
        _client(uri).update_run(found.run_id, status="RUNNING")
        return found
    run = _client(uri).create_run(experiment_id, run_name=name, tags=dict(tags))
    return Run(uri, experiment_id, run.info.run_id)


def _find(uri: str, experiment_id: str, tags: Mapping[str, str], status: str | None) -> Run | None:
    clauses = [f"tags.`{key}` = '{value}'" for key, value in tags.items()]
    if status:
        clauses.append(f"attributes.status = '{status}'")
    found = _client(uri).search_runs([experiment_id], " and ".join(clauses), max_results=1)
    return Run(uri, experiment_id, found[0].info.run_id) if found else None


def _client(uri: str) -> MlflowClient:
    return MlflowClient(uri)


def _flattened(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
