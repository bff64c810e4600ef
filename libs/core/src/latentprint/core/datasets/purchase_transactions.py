"""Customers as binary vectors, from a table of transactions that is larger than memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv

from latentprint.core.errors import DataError

Bits = NDArray[np.uint8]
Labels = NDArray[np.int64]
_COLUMNS = {"id": pa.int64(), "category": pa.int64()}
_CATEGORIES = 100_000  # more than any category's number
_BLOCK = 1 << 24  # bytes of the table read at once
_COMPACT = 1 << 24  # purchases held before those that repeat are dropped
_AGAIN = "fetch the transactions of Kaggle's Acquire Valued Shoppers Challenge again"


def clustered_customers(place: Path, features: int, classes: int, seed: int) -> tuple[Bits, Labels]:
    """Binary vectors of customers over the categories that most customers buy, and their k-means clusters.

    Args:
        place: transactions.csv or transactions.csv.gz, with the columns `id` and `category`.
        features: categories kept: those with the most customers, the lowest number first among equals.
        classes: clusters (mini-batch k-means of the vectors).
        seed: of the clusters.

    Returns:
        Bits, uint8 [N, features], in order of customer id, and clusters, int64 [N].

    Raises:
        DataError: a truncated or foreign table, too few categories or customers.
    """
    customer, category = np.divmod(_purchases(place), _CATEGORIES)
    known, customers = np.unique(category, return_counts=True)
    ids, rows = np.unique(customer, return_inverse=True)
    if len(known) < features or len(ids) < classes:
        raise DataError(
            f"{place} has {len(known)} categories and {len(ids)} customers; {features} and {classes} are needed."
        )
    wanted = known[np.lexsort((known, -customers))[:features]]
    column = np.full(known[-1] + 1, -1)
    column[wanted] = np.arange(features)
    columns = column[category]
    bits = np.zeros((len(ids), features), dtype=np.uint8)
    bits[rows[columns >= 0], columns[columns >= 0]] = 1
    return bits, _clusters(bits, classes, seed)


def _purchases(place: Path) -> NDArray[np.int64]:
    """Every pair of a customer and a category that they bought, as id * 100,000 + category, sorted."""
    pairs: list[NDArray[np.int64]] = []
    held = 0
    try:
        with pa.input_stream(str(place), compression="detect") as stream:
            for batch in _table(stream):
                ids, categories = (batch.column(name).to_numpy(zero_copy_only=False) for name in _COLUMNS)
                _check(ids, categories, place)
                pairs.append(np.unique(ids * _CATEGORIES + categories))
                held += len(pairs[-1])
                if held > _COMPACT:
                    pairs = [np.unique(np.concatenate(pairs))]
                    held = 0
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError) as error:
        raise DataError(f"{place} is truncated or no table with id and category ({error}): {_AGAIN}.") from None
    return np.unique(np.concatenate(pairs)) if pairs else np.zeros(0, dtype=np.int64)


def _table(stream: pa.NativeFile) -> csv.CSVStreamingReader:
    return csv.open_csv(
        stream,
        read_options=csv.ReadOptions(block_size=_BLOCK),
        convert_options=csv.ConvertOptions(include_columns=list(_COLUMNS), column_types=_COLUMNS),
    )


def _check(ids: NDArray[np.int64], categories: NDArray[np.int64], place: Path) -> None:
    largest = np.iinfo(np.int64).max // _CATEGORIES
    if ids.dtype != np.int64 or categories.dtype != np.int64:
        raise DataError(f"{place} lacks an id or a category in some row: {_AGAIN}.")
    for values, limit in ((ids, largest), (categories, _CATEGORIES)):
        if len(values) and not 0 <= values.min() <= values.max() < limit:
            raise DataError(f"{place} holds an id or a category that cannot be: {_AGAIN}.")


def _clusters(bits: Bits, classes: int, seed: int) -> Labels:
    from sklearn.cluster import MiniBatchKMeans  # takes a second to import

    model = MiniBatchKMeans(classes, random_state=seed, n_init=3, batch_size=4096)
    return np.asarray(model.fit_predict(bits.astype(np.float32)), dtype=np.int64)
