"""Extracted signals, read back for samples in any order."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.extraction.store import SignalStore, read_table, rows_of
from latentprint.core.datasets.base import Ids
from latentprint.core.errors import DataError


@dataclass(frozen=True)
class Signals:
    """Signals of S samples.

    Attributes:
        values: float32 [S, K].
        diagnostics: name to float32 [S, L].
    """

    values: NDArray[np.float32]
    diagnostics: Mapping[str, NDArray[np.float32]]


def read_signals(folder: Path, sample_ids: Ids) -> Signals:
    """Signals of `sample_ids` (int64 [S], any order, repeats allowed) from a signal's folder, row for row.

    Raises:
        DataError: samples that were not extracted, or a damaged shard.
    """
    ids, values, diagnostics = _load(SignalStore(folder))
    order = np.argsort(ids, kind="stable")
    place = np.searchsorted(ids, sample_ids, sorter=order).clip(max=max(len(ids) - 1, 0))
    rows = order[place] if len(ids) else np.zeros(0, dtype=np.int64)
    missing = int((ids[rows] != sample_ids).sum()) if len(ids) else len(sample_ids)
    if missing:
        raise DataError(
            f"{missing} of {len(sample_ids)} samples have no signals in {folder}: run the extraction to its end first."
        )
    return Signals(values[rows], {name: value[rows] for name, value in diagnostics.items()})


def _load(store: SignalStore) -> tuple[Ids, NDArray[np.float32], dict[str, NDArray[np.float32]]]:
    ids: list[Ids] = [np.zeros(0, dtype=np.int64)]
    values: list[NDArray[np.float32]] = []
    diagnostics: dict[str, list[NDArray[np.float32]]] = {}
    for path in store.paths():
        table = read_table(path)
        ids.append(table["sample_id"].to_numpy())
        values.append(rows_of(table["signal"].combine_chunks()))
        for name, column in _diagnostics(table).items():
            diagnostics.setdefault(name, []).append(column)
    joined = np.concatenate(values) if values else np.zeros((0, 0), dtype=np.float32)
    return np.concatenate(ids), joined, {name: np.concatenate(parts) for name, parts in diagnostics.items()}


def _diagnostics(table: Any) -> dict[str, NDArray[np.float32]]:
    if "diagnostics" not in table.column_names:
        return {}
    struct = table["diagnostics"].combine_chunks()
    return {field.name: rows_of(struct.field(field.name)) for field in struct.type}
