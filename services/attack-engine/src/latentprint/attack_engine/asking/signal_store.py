"""Extracted signals on disk: one Parquet file a shard, keyed by sample id, written whole or not at all; read back."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from latentprint.attack_engine.asking.shards import Shard
from latentprint.attack_engine.asking.signal import SignalBatch
from latentprint.core.datasets.base import Ids
from latentprint.core.errors import DataError
from latentprint.core.files import write_atomically

_META = b"latentprint"
Taken = tuple[float, float]  # when the first and the last answer was taken, seconds since the epoch


@dataclass(frozen=True)
class SignalStore:
    """The folder of one signal of one endpoint on one data set."""

    folder: Path

    def shard_path(self, shard: Shard) -> Path:
        """Where a shard's signals go."""
        return self._path(shard.name)

    def has_shard(self, name: str) -> bool:
        """Whether the shard of this name is finished."""
        return self._path(name).exists()

    def _path(self, name: str) -> Path:
        return self.folder / f"shard-{name}.parquet"

    def paths(self) -> list[Path]:
        """Finished shards, in order of name."""
        return sorted(self.folder.glob("shard-*.parquet"))

    def sample_ids(self) -> set[int]:
        """Samples whose signals are there. Raises `DataError` for a damaged shard."""
        return {int(i) for path in self.paths() for i in read_table(path, ["sample_id"])["sample_id"].to_numpy()}

    def seconds(self) -> float:
        """Time that workers spent on the finished shards, added up."""
        return sum(_meta(path)["seconds"] for path in self.paths())

    def taken(self) -> Taken | None:
        """When the first and the last answer of the finished shards were taken; None before the first shard.

        Shards written before this was kept say nothing.
        """
        times = [_meta(path) for path in self.paths()]
        return taken_between([(meta["first"], meta["last"]) if "first" in meta else None for meta in times])

    def rate(self) -> float | None:
        """Images per second of one worker, measured over finished shards; None before the first."""
        asked = sum(_meta(path)["asked"] for path in self.paths())
        seconds = self.seconds()
        return asked / seconds if asked and seconds > 0 else None


def taken_between(times: Sequence[Taken | None]) -> Taken | None:
    """The earliest first and the latest last of `times`; None where none is known."""
    known = [time for time in times if time is not None]
    return (min(first for first, _ in known), max(last for _, last in known)) if known else None


def write_shard(
    path: Path, sample_ids: Ids, batch: SignalBatch, *, asked: int, seconds: float, taken: Taken | None = None
) -> None:
    """Write the signals of one shard atomically.

    Args:
        path: the file.
        sample_ids: int64 [B].
        batch: values [B, K] and diagnostics [B, L].
        asked: images asked of the endpoint for it, kept answers left out.
        seconds: time it took.
        taken: when the first and the last of its answers were taken.
    """
    columns: dict[str, Any] = {"sample_id": pa.array(sample_ids), "signal": _fixed(batch.values)}
    if batch.diagnostics:
        arrays = [_fixed(value) for value in batch.diagnostics.values()]
        columns["diagnostics"] = pa.StructArray.from_arrays(arrays, names=list(batch.diagnostics))
    times = {} if taken is None else {"first": taken[0], "last": taken[1]}
    meta = json.dumps({"asked": asked, "seconds": seconds, **times})
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata({_META: meta}), buffer)
    write_atomically(path, buffer.getvalue())


def read_table(path: Path, columns: Sequence[str] | None = None) -> Any:
    """A shard as an Arrow table. Raises `DataError` for a damaged one."""
    try:
        return pq.read_table(path, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path} is damaged ({error}): remove it, and its samples are extracted again.") from None


def rows_of(lists: Any) -> NDArray[np.float32]:
    """An Arrow array of fixed-size lists as float32 [B, K]."""
    return np.asarray(lists.flatten().to_numpy(), dtype=np.float32).reshape(len(lists), -1)


def _meta(path: Path) -> dict[str, float]:
    try:
        meta: dict[str, float] = json.loads(pq.read_schema(path).metadata[_META])
    except (pa.ArrowInvalid, OSError, TypeError, KeyError) as error:
        raise DataError(f"{path} is damaged ({error}): remove it, and its samples are extracted again.") from None
    return meta


def _fixed(values: NDArray[np.float32]) -> Any:
    flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, int(np.prod(values.shape[1:])))


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
