"""A registered model's version as a bundle again."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from latentprint.core.bundles import BundleCard, read_card
from latentprint.core.errors import EndpointError, UsageError
from latentprint.core.files import writing
from latentprint.core.text import printable
from latentprint.core.tracking import databases
from latentprint.core.tracking.journal import without_password
from latentprint.core.tracking.registry import patiently
from latentprint.core.tracking.runs import default_uri
from latentprint.core.tracking.store import connect

_ADDRESS = re.compile(r"models:/(?P<name>[^/@]+)(?:@(?P<alias>[^/@]+)|/(?P<version>\d+))")


@dataclass(frozen=True)
class ModelAddress:
    """A version of a registered model, by `alias` or by `version`; the other one is ""."""

    name: str
    alias: str = ""
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> "ModelAddress":
        """What `text` names: models:/NAME@ALIAS or models:/NAME/VERSION. Raises `UsageError` for anything else."""
        parts = _ADDRESS.fullmatch(text)
        if parts is None:
            raise UsageError(f"{printable(text)}: write models:/NAME@ALIAS or models:/NAME/VERSION.")
        return cls(**parts.groupdict(default=""))

    def find(self, client: MlflowClient) -> ModelVersion:
        """The version in a store. Raises what its driver says."""
        if self.alias:
            return client.get_model_version_by_alias(self.name, self.alias)
        return client.get_model_version(self.name, self.version)


def fetch(address: str, uri: str, folder: Path) -> BundleCard:
    """Write the bundle of a registered model's version to `folder`, which is absent or empty; returns its card.

    Args:
        address: see `ModelAddress.parse`.
        uri: of the store.
        folder: where the bundle goes, whole or not at all.

    Raises:
        UsageError: another address, or a folder that holds something.
        EndpointError: the store does not have it, does not answer, or refuses.
        DataError: what it has is no bundle, or cannot be written.
    """
    wanted = ModelAddress.parse(address)
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{printable(folder)} holds something already: name another folder.")
    _require(uri)
    draft = folder.with_name(f".{folder.name}.draft")
    try:
        client = connect(uri)
        version = wanted.find(client)
        source = client.get_model_version_download_uri(version.name, version.version)
        with writing(folder), patiently():
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            found = Path(download_artifacts(artifact_uri=source, dst_path=str(draft), tracking_uri=uri))
        card = read_card(found)
        with writing(folder):
            found.replace(folder)
    except MlflowException as error:
        reason = printable(" ".join(str(error).split()))
        raise EndpointError(
            f"MLflow at {without_password(uri)} gives no {address}: {reason} (MLFLOW_TRACKING_URI names the store, "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD who asks)."
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return card


def default_store() -> str:
    """The store that `MLFLOW_TRACKING_URI` names, else the local one below the folder runs."""
    return default_uri(Path("runs"))


def _require(uri: str) -> None:
    """Raise `EndpointError` for a store that does not answer, or is not there."""
    if uri.startswith(databases.SQLITE) and not databases.database_of(uri).exists():
        raise EndpointError(f"There is no MLflow store at {uri}: name one with MLFLOW_TRACKING_URI.")
    problem = databases.problem(uri)
    if problem:
        raise EndpointError(f"MLflow at {without_password(uri)} {problem}.")
