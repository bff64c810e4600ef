"""`purchase`: what customers bought, from the prepared array of the literature or from Kaggle's transactions."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from latentprint.core.code_digest import code_digest
from latentprint.core.config import from_mapping
from latentprint.core.datasets import purchase_transactions
from latentprint.core.datasets.arrays import vector_dataset
from latentprint.core.datasets.base import DATASETS, Dataset, Vectors
from latentprint.core.datasets.fingerprints import fingerprint
from latentprint.core.datasets.prepared_bits import Prepared, read_prepared
from latentprint.core.datasets.sources import find_source
from latentprint.core.datasets.vector_cache import kept_vectors
from latentprint.core.errors import DataError

FEATURES, CLASSES = 600, 100
_PREPARED = Prepared("the prepared purchases (600 features, 100 classes)", ("dataset_purchase",), FEATURES, CLASSES)
_TRANSACTIONS = ("transactions.csv", "transactions.csv.gz")
_ARRAYS = ("purchase100.npz", "purchase.npz")
_NAMES = ("dataset_purchase", "dataset_purchase.tgz", "dataset_purchase.tar.gz", *_ARRAYS, *_TRANSACTIONS)


@dataclass(frozen=True)
class PurchaseOptions:
    """Options of `purchase`.

    Attributes:
        path: the prepared text ("label,bit,..."), the .tgz that holds it, an .npz of `features` and `labels`, Kaggle's
            transactions.csv(.gz), or a folder with one of these.
        seed: of the clusters that are the classes; for transactions alone.
        cache: folder for what was made of transactions; none: LATENTPRINT_CACHE, else ~/.cache/latentprint.
    """

    path: Path
    seed: int = 0
    cache: Path | None = None


@DATASETS.register(
    "purchase",
    summary="197,324 customers' purchases, 600 binary features; labels: class (100, clusters)",
    source="Shokri et al., S&P 2017, from Kaggle's Acquire Valued Shoppers Challenge, 2014",
    needs={
        "options": "path, seed (0) and cache for transactions",
        "files": "dataset_purchase (text, .tgz), an .npz of features and labels, or transactions.csv(.gz)",
    },
)
def purchase(options: Mapping[str, Any]) -> Dataset:
    """Open `purchase`: a prepared array in its own order, or transactions by customer id; label `class`, from 0.

    Raises:
        UsageError: a wrong option.
        DataError: a missing, truncated or foreign file, by name; too few customers or categories.
    """
    given = from_mapping(PurchaseOptions, options, "data set 'purchase'")
    place = given.path if given.path.is_file() else find_source(given.path, _NAMES, _PREPARED.what)
    if place.is_dir():
        place = find_source(place, _PREPARED.names, _PREPARED.what)
    if place.name.removesuffix(".gz").endswith(".csv"):
        return _of_transactions(place, given)
    vectors, classes = _of_arrays(place) if place.suffix == ".npz" else read_prepared(place, _PREPARED)
    return vector_dataset("purchase", vectors, {"class": classes})


def _of_transactions(place: Path, options: PurchaseOptions) -> Dataset:
    import sklearn  # takes a second to import, which the prepared array need not wait for

    code = [code_digest(purchase_transactions.clustered_customers), str(sklearn.__version__)]
    made_from = {"source": fingerprint(place), "seed": options.seed, "code": code}
    return kept_vectors(
        "purchase",
        made_from,
        options.cache,
        lambda: purchase_transactions.clustered_customers(place, FEATURES, CLASSES, options.seed),
    )


def _of_arrays(place: Path) -> tuple[Vectors, NDArray[np.int64]]:
    """Vectors and classes of an .npz whose labels are one-hot, or count from 0 or from 1."""
    try:
        with np.load(place, allow_pickle=False) as arrays:
            features, labels = np.asarray(arrays["features"]), np.asarray(arrays["labels"])
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DataError(f"{place} is no .npz of plain arrays `features` and `labels` ({error}).") from None
    if labels.ndim == 2:
        labels = labels.argmax(axis=1)
    if features.shape != (len(labels), FEATURES) or labels.ndim != 1 or len(labels) == 0:
        raise DataError(f"{place}: features {features.shape} and labels {labels.shape} are not {_PREPARED.what}.")
    classes = labels.astype(np.int64)
    classes -= int(classes.max() == CLASSES)
    if not np.isin(features, (0, 1)).all() or not 0 <= classes.min() <= classes.max() < CLASSES:
        raise DataError(f"{place} does not hold bits and labels of {CLASSES} classes: it is not {_PREPARED.what}.")
    return features.astype(np.float32), classes
