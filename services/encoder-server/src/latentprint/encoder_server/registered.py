"""A victim from MLflow's registry of models, for servers that have MLflow beside them; nothing else here needs it."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from latentprint.core.errors import UsageError
from latentprint.encoder_server.victims import Victim, check_model_name, from_bundle


def from_registry(address: str, name: str | None, outputs: Sequence[str]) -> Victim:
    """Open a registered model's version, models:/NAME@ALIAS or models:/NAME/VERSION, as a victim called `name` or NAME.

    The store is the one that `MLFLOW_TRACKING_URI` names, else the local one below the folder runs.

    Raises:
        UsageError: MLflow is not installed, or the address is another.
        EndpointError, DataError: see `latentprint.core.tracking.fetching.fetch` and `from_bundle`.
    """
    if find_spec("mlflow") is None:
        raise UsageError(
            f"{address} lies in MLflow, which is not installed here: install latentprint-core[tracking], or write the "
            "bundle to a folder where MLflow is (latentprint fetch) and serve that."
        )
    from latentprint.core.tracking.fetching import ModelAddress, default_store, fetch

    called = name or ModelAddress.parse(address).name
    check_model_name(called)
    with TemporaryDirectory() as folder:
        bundle = Path(folder) / called
        fetch(address, default_store(), bundle)
        return from_bundle(bundle, called, outputs)
