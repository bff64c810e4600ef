"""Runs and experiments in a store, found by key and made where they are missing."""

import posixpath
import re
from collections.abc import Callable

from mlflow import MlflowClient
from mlflow.entities import Experiment
from mlflow.entities import Run as StoredRun
from mlflow.exceptions import MlflowException

from latentprint.core.text import printable
from latentprint.core.tracking.journal import KEY_TAG, Address

_MOST_NAME = 250  # characters that MLflow takes
_PARENT_TAG, _USER_TAG = "mlflow.parentRunId", "mlflow.user"
_SOURCE_TAG, _SOURCE_TYPE_TAG, _SOURCE_TYPE = "mlflow.source.name", "mlflow.source.type", "LOCAL"
_KIND_TAG, _MODEL_TRAINING = "mlflow.experimentKind", "custom_model_development"


def found(client: MlflowClient, address: Address) -> StoredRun | None:
    """The run at `address`; None where the store has none."""
    experiment = client.get_experiment_by_name(name_of(address.experiment))
    if experiment is None or experiment.lifecycle_stage == "deleted":
        return None
    run, parent = None, ""
    for _, key in address.lineage:
        run = _find(client, experiment.experiment_id, key, parent)
        if run is None:
            return None
        parent = run.info.run_id
    return run


def resolved(client: MlflowClient, address: Address, note: Callable[[str], None]) -> StoredRun:
    """The run at `address`, made with all above it where it is missing; `note` takes a sentence for the user."""
    experiment_id, parent = _experiment(client, address, note), ""
    for depth, (_, key) in enumerate(address.lineage):
        run = _find(client, experiment_id, key, parent) or _create(client, experiment_id, address, depth, parent)
        parent = run.info.run_id
    return run


def _create(client: MlflowClient, experiment_id: str, address: Address, depth: int, parent: str) -> StoredRun:
    name, key = address.lineage[depth]
    tags = {**_tags(key, parent), _SOURCE_TYPE_TAG: _SOURCE_TYPE}
    tags |= {tag: value for tag, value in ((_USER_TAG, address.user), (_SOURCE_TAG, address.source)) if value}
    started = address.started[depth] if depth < len(address.started) else None
    return client.create_run(experiment_id, start_time=started, run_name=name_of(name), tags=tags)


def _tags(key: str, parent: str) -> dict[str, str]:
    return {KEY_TAG: key, _PARENT_TAG: parent} if parent else {KEY_TAG: key}


def _experiment(client: MlflowClient, address: Address, note: Callable[[str], None]) -> str:
    name = name_of(address.experiment)
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, address.artifacts or None, {_KIND_TAG: _MODEL_TRAINING}))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process was faster
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
        note(f"MLflow's experiment {name!r} had been deleted and was restored, with the runs that it held.")
    _open_as_training(client, found)
    return str(found.experiment_id)


def _open_as_training(client: MlflowClient, experiment: Experiment) -> None:
    """Have the page show an experiment as model training, unless somebody chose what it is."""
    if not experiment.tags.get(_KIND_TAG):
        client.set_experiment_tag(experiment.experiment_id, _KIND_TAG, _MODEL_TRAINING)


def _find(client: MlflowClient, experiment_id: str, key: str, parent: str) -> StoredRun | None:
    query = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in _tags(key, parent).items())
    found = client.search_runs([experiment_id], query, max_results=1)
    return found[0] if found else None


def name_of(text: str) -> str:
    """A name of an experiment or a run as MLflow takes it."""
    return printable(text, _MOST_NAME) or "unnamed"


def key_of(name: str) -> str:
    """A name of a parameter, metric or tag as MLflow takes it."""
    key = re.sub(r"[^\w.\- :/]", "_", name)[:_MOST_NAME] or "_"
    is_path = posixpath.normpath(key) == key and not key.startswith(("/", ".."))
    return key if is_path and key != "." else re.sub(r"[./]", "_", key)
