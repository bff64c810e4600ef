"""Entries sent to MLflow: a store by its address, and what each kind of entry is there.

Runs are addressed by id through a client, never through MLflow's process-wide active run, so that several audits can
log side by side.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlflow import MlflowClient
from mlflow.entities import Dataset as LoggedDataset
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.entities import Run as StoredRun
from mlflow.exceptions import MlflowException
from mlflow.types import ColSpec, Schema

from latentprint.core.text import printable
from latentprint.core.tracking import journal
from latentprint.core.tracking.databases import SQLITE, alone, database_of
from latentprint.core.tracking.journal import Address, JournalEntry
from latentprint.core.tracking.registry import register
from latentprint.core.tracking.stored_runs import found, key_of, resolved

Client = MlflowClient
_MOST_PARAM, _MOST_TAG, _MOST_DATASET, _MOST_DIGEST = 6000, 5000, 500, 36  # characters MLflow takes
_SOURCE_TYPE = "code"  # of a data set: MLflow's for what code makes or opens
_BATCH, _MOST_METRICS = 100, 1000  # params or tags in one call, and metrics
_REFUSED = {"BAD_REQUEST", "INVALID_PARAMETER_VALUE", "INVALID_STATE", "RESOURCE_ALREADY_EXISTS"}
_FOLDERS = "MLFLOW_ALLOW_FILE_STORE"
_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # its own would hold a run up for minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where a command's result stands
}


def connect(uri: str) -> MlflowClient:
    """A client of the store. Of several processes that need a new database, one makes it and the others wait.

    Raises:
        Exception: whatever the store's driver says.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if not urlsplit(uri).scheme or uri.startswith("file:"):
        os.environ.setdefault(_FOLDERS, "true")  # MLflow wants to be told that a folder is meant
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
    run = found(client, address)
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
    run = resolved(client, address, note)
    if _is_there_already(run, entries):
        yield entries[-1]
        return
    for together in _batches(entries):
        refusal = _refused(client, run.info.run_id, together)
        if refusal and _refused(client, run.info.run_id, together):
            note(f"MLflow refused {together[0].kind} of {address.lineage[-1][0]!r}: {refusal}.")
        yield together[-1]


def _refused(client: MlflowClient, run_id: str, batch: Sequence[JournalEntry]) -> str:
    """Why the store takes these entries at no time; "" once it has them. Raises as `send` where it might later."""
    try:
        _apply(client, run_id, batch)
    except MlflowException as error:
        if error.error_code not in _REFUSED:
            raise
        client.get_run(run_id)  # a server whose database is away says "bad request", too: then to this as well
        return _reason(error)
    return ""


def _is_there_already(run: StoredRun, entries: Sequence[JournalEntry]) -> bool:
    """Whether a run that was to be logged once, but opened while the store was away, turns out to be in it."""
    first = entries[0]
    return first.kind == journal.OPEN and bool(first.content["blind"]) and run.info.status == journal.FINISHED


def _batches(entries: Sequence[JournalEntry]) -> Iterator[list[JournalEntry]]:
    batch, metrics = list[JournalEntry](), 0
    for entry in entries:
        more = len(entry.content["values"]) if entry.kind == journal.METRICS else 0
        if batch and not (entry.kind == batch[0].kind == journal.METRICS and metrics + more <= _MOST_METRICS):
            yield batch
            batch, metrics = [], 0
        batch.append(entry)
        metrics += more
    if batch:
        yield batch


def _apply(client: MlflowClient, run_id: str, batch: Sequence[JournalEntry]) -> None:
    kind, content = batch[0].kind, batch[0].content
    if kind == journal.METRICS:
        client.log_batch(run_id, metrics=[metric for entry in batch for metric in _metrics(entry.content)])
    elif kind == journal.PARAMS:
        params = [Param(key_of(key), printable(value, _MOST_PARAM)) for key, value in content.items()]
        for start in range(0, len(params), _BATCH):
            client.log_batch(run_id, params=params[start : start + _BATCH])
    elif kind == journal.TAGS:
        client.log_batch(run_id, tags=[RunTag(key_of(k), printable(v, _MOST_TAG)) for k, v in content.items()])
    else:
        _SINGLE[kind](client, run_id, content)


def _metrics(content: Mapping[str, Any]) -> list[Metric]:
    return [Metric(key_of(name), value, content["time"], content["step"]) for name, value in content["values"].items()]


def _open(client: MlflowClient, run_id: str, content: Mapping[str, Any]) -> None:
    client.update_run(run_id, status=content["status"])


def _log_file(client: MlflowClient, run_id: str, content: Mapping[str, Any]) -> None:
    path = Path(content["path"])
    if path.is_dir():
        client.log_artifacts(run_id, str(path), content["folder"])
    elif path.exists():
        client.log_artifact(run_id, str(path), content["folder"])


def _log_dataset(client: MlflowClient, run_id: str, content: Mapping[str, Any]) -> None:
    name, columns, profile, source = (content.get(key) for key in ("name", "columns", "profile", "source"))
    dataset = LoggedDataset(
        printable(name, _MOST_DATASET),
        content["digest"][:_MOST_DIGEST],
        source_type=_SOURCE_TYPE,
        source=json.dumps({"tags": source or {"name": name}}),
        schema=json.dumps({"mlflow_colspec": _schema(columns)}) if columns else None,
        profile=json.dumps(profile) if profile else None,
    )
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", content["context"])])])


def _schema(columns: Mapping[str, str]) -> list[dict[str, Any]]:
    return Schema([ColSpec(kind, name) for name, kind in columns.items()]).to_dict()


def _register(client: MlflowClient, run_id: str, content: Mapping[str, Any]) -> None:
    if content["source"] or Path(content["path"]).exists():
        register(client, run_id, content)


def _end(client: MlflowClient, run_id: str, content: Mapping[str, Any]) -> None:
    client.set_terminated(run_id, content["status"], content["time"])


def _reason(error: Exception) -> str:
    return printable(" ".join(str(error).split()))


def _remove_stray_folder(uri: str) -> None:
    """MLflow makes the folder of an escaped path as it is spelled, beside the one that it means."""
    spelled = Path(uri.removeprefix(SQLITE)).parent
    if spelled != database_of(uri).parent:
        with suppress(OSError):  # there is none, or it is somebody's
            os.removedirs(spelled)


_SINGLE = {
    journal.OPEN: _open,
    journal.FILE: _log_file,
    journal.DATASET: _log_dataset,
    journal.MODEL: _register,
    journal.END: _end,
}
