"""A bundle as a version of a registered model."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from latentprint.core.tracking.journal import KEY_TAG

_FOLDER = "bundle"  # among a run's artifacts
_THERE_ALREADY = "RESOURCE_ALREADY_EXISTS"
_TIMEOUT, _PATIENT_SECONDS = "MLFLOW_HTTP_REQUEST_TIMEOUT", "600"


def register(client: MlflowClient, run_id: str, content: Mapping[str, Any]) -> None:
    """Make a bundle the newest version of a registered model, unless it is a version already.

    Args:
        client: of the store.
        run_id: of the run that made it.
        content: "name"; "source", a URI, or "" and "path", a folder to be copied to the store; "tags", of which
            `KEY_TAG` tells versions apart; "description".
    """
    name, key = content["name"], content["tags"][KEY_TAG]
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != _THERE_ALREADY:
            raise
    if any(one.tags.get(KEY_TAG) == key for one in client.search_model_versions(f"name = '{name}'")):
        return
    source = content["source"]
    if not source:
        with patiently():
            client.log_artifacts(run_id, content["path"], _FOLDER)
        source = f"runs:/{run_id}/{_FOLDER}"
    facts = {"tags": content["tags"], "description": content["description"]}
    client.create_model_version(name, source, run_id, **facts, await_creation_for=0)


@contextmanager
def patiently() -> Iterator[None]:
    """While weights are on their way: a server that hands them on to object storage answers once it has."""
    before = os.environ.get(_TIMEOUT)
    os.environ[_TIMEOUT] = _PATIENT_SECONDS
    try:
        yield
    finally:
        if before is None:
            del os.environ[_TIMEOUT]
        else:
            os.environ[_TIMEOUT] = before
