"""The one place that speaks to MLflow: whether a store answers, its runs by key, and entries sent to them.

Runs are addressed by id through a client, never through MLflow's process-wide active run, so that several audits can
log side by side.
"""

import logging
import os
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset as LoggedDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.entities import Run as StoredRun
from mlflow.exceptions import MlflowException

from latentprint.core.text import printable
from latentprint.core.tracking import journal
from latentprint.core.tracking.databases import SQLITE, alone, database_of
from latentprint.core.tracking.journal import KEY_TAG, Address, JournalEntry

Client = MlflowClient
_PARENT_TAG = "mlflow.parentRunId"
_MOST_NAME, _MOST_PARAM, _MOST_TAG, _MOST_DATASET, _MOST_DIGEST = 250, 6000, 5000, 500, 36  # characters MLflow takes
_BATCH = 100  # params or tags in one call; of metrics MLflow takes more
_REFUSED = {"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_ALREADY_EXISTS"}
_SHORT_WAITS = {  # MLflow's own would hold a run up for minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


def connect(uri: str) -> MlflowClient:
    """A client of the store. Of several processes that need a new database, one makes it and the others wait.

    Raises:
        Exception: whatever the store's driver says.
    """
    for name, value in _SHORT_WAITS.items():
        os.environ.setdefault(name, value)
    for name in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)  # they report every table of a new database
    if not uri.startswith(SQLITE):
        return MlflowClient(uri)
    with alone(database_of(uri)):
        client = MlflowClient(uri)
    _remove_stray_folder(uri)
    return client


def has_finished(client: MlflowClient, address: Address) -> bool:
    """Whether the store holds the run, and that it finished."""
    experiment = client.get_experiment_by_name(_name(address.experiment))
    if experiment is None or experiment.lifecycle_stage == "deleted":
        return False
    run, parent = None, ""
    for _, key in address.lineage:
        run = _find(client, experiment.experiment_id, key, parent)
        if run is None:
            return False
        parent = run.info.run_id
    return run is not None and run.info.status == journal.FINISHED


def send(
    client: MlflowClient, address: Address, entries: Sequence[JournalEntry], note: Callable[[str], None]
) -> Iterator[JournalEntry]:
    """Send entries, in order, to the run at `address`, which is made where it is missing.

    Args:
        client: of the store.
        address: of the run.
        entries: what to send; the metrics among neighbours go in one call.
        note: takes a sentence for the user.

    Yields:
        every entry up to which all is sent.

    Raises:
        Exception: the store failed; the entries after the last one yielded are to be sent again.
    """
    run = _resolve(client, address, note)
    if _is_there_already(run, entries):
        yield entries[-1]
        return
    for together in _batches(entries):
        try:
            _apply(client, run.info.run_id, together)
        except MlflowException as error:
            if error.error_code not in _REFUSED:
                raise
            note(f"MLflow refused {together[0].kind} of {address.lineage[-1][0]!r}: {_reason(error)}.")
        yield together[-1]


def _is_there_already(run: StoredRun, entries: Sequence[JournalEntry]) -> bool:
    """Whether a run that was to be logged once, but opened while the store was away, turns out to be in it."""
    first = entries[0]
    return first.kind == journal.OPEN and bool(first.content["blind"]) and run.info.status == journal.FINISHED


def _batches(entries: Sequence[JournalEntry]) -> Iterator[list[JournalEntry]]:
    batch: list[JournalEntry] = []
    for entry in entries:
        if batch and not (entry.kind == batch[0].kind == journal.METRICS and len(batch) < _BATCH):
            yield batch
            batch = []
        batch.append(entry)
    if batch:
        yield batch


def _apply(client: MlflowClient, run_id: str, batch: Sequence[JournalEntry]) -> None:
    kind, content = batch[0].kind, batch[0].content
    if kind == journal.METRICS:
        client.log_batch(run_id, metrics=[metric for entry in batch for metric in _metrics(entry.content)])
    elif kind == journal.PARAMS:
        params = [Param(_key(key), printable(value, _MOST_PARAM)) for key, value in content.items()]
        for start in range(0, len(params), _BATCH):
            client.log_batch(run_id, params=params[start : start + _BATCH])
    elif kind == journal.TAGS:
        client.log_batch(run_id, tags=[RunTag(_key(k), printable(v, _MOST_TAG)) for k, v in content.items()])
    else:
        _SINGLE[kind](client, run_id, content)


def _metrics(content: Mapping[str, Any]) -> list[Metric]:
    return [Metric(_key(name), value, content["time"], content["step"]) for name, value in content["values"].items()]


def _open(client: MlflowClient, run_id: str, content: Mapping[str, Any]) -> None:
    client.update_run(run_id, status=content["status"])


def _log_file(client: MlflowClient, run_id: str, content: Mapping[str, Any]) -> None:
    path = Path(content["path"])
    if path.is_dir():
        client.log_artifacts(run_id, str(path), content["folder"])
    elif path.exists():
        client.log_artifact(run_id, str(path), content["folder"])


def _log_dataset(client: MlflowClient, run_id: str, content: Mapping[str, Any]) -> None:
    name = printable(content["name"], _MOST_DATASET)
    dataset = LoggedDataset(name, content["digest"][:_MOST_DIGEST], "latentprint", name)
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", content["context"])])])


def _end(client: MlflowClient, run_id: str, content: Mapping[str, Any]) -> None:
    client.set_terminated(run_id, content["status"], content["time"])


_SINGLE = {journal.OPEN: _open, journal.FILE: _log_file, journal.DATASET: _log_dataset, journal.END: _end}


def _resolve(client: MlflowClient, address: Address, note: Callable[[str], None]) -> StoredRun:
    """The run at `address`, made with all above it where it is missing."""
    experiment_id, parent = _experiment(client, address, note), ""
    for name, key in address.lineage:
        run = _find(client, experiment_id, key, parent) or _create(client, experiment_id, name, key, parent)
        parent = run.info.run_id
    return run


def _create(client: MlflowClient, experiment_id: str, name: str, key: str, parent: str) -> StoredRun:
    return client.create_run(experiment_id, run_name=_name(name), tags=_tags(key, parent))


def _tags(key: str, parent: str) -> dict[str, str]:
    return {KEY_TAG: key, _PARENT_TAG: parent} if parent else {KEY_TAG: key}


def _experiment(client: MlflowClient, address: Address, note: Callable[[str], None]) -> str:
    name = _name(address.experiment)
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, address.artifacts or None))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process was faster
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
        note(f"MLflow's experiment {name!r} had been deleted and was restored, with the runs that it held.")
    return str(found.experiment_id)


def _find(client: MlflowClient, experiment_id: str, key: str, parent: str) -> StoredRun | None:
    query = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in _tags(key, parent).items())
    found = client.search_runs([experiment_id], query, max_results=1)
    return found[0] if found else None


def _remove_stray_folder(uri: str) -> None:
    """MLflow makes the folder of an escaped path as it is spelled, beside the one that it means."""
    spelled = Path(uri.removeprefix(SQLITE)).parent
    if spelled != database_of(uri).parent:
        with suppress(OSError):  # there is none, or it is somebody's
            os.removedirs(spelled)


def _name(text: str) -> str:
    return printable(text, _MOST_NAME) or "unnamed"


def _key(name: str) -> str:
    """A name of a parameter, metric or tag as MLflow takes it."""
    key = re.sub(r"[^\w.\- :/]", "_", name)[:_MOST_NAME] or "_"
    is_path = posixpath.normpath(key) == key and not key.startswith(("/", ".."))
    return key if is_path and key != "." else re.sub(r"[./]", "_", key)


def _reason(error: Exception) -> str:
    return printable(" ".join(str(error).split()))
