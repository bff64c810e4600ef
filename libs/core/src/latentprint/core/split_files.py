"""Splits as files: Parquet, with what is no column in the metadata."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from latentprint.core.datasets.base import DatasetSpec
from latentprint.core.errors import DataError
from latentprint.core.splits import FURTHER, Split, Units

_META = b"latentprint"
_FORMER_META = b"leakscope"  # the project's name when the first splits were written
_COLUMNS = ("sample_id", "member", "role")
_UNIT_COLUMNS = ("unit", "trained")


def write_split(split: Split, path: Path) -> None:
    """Write `split` as Parquet with its seed and digests in the file's metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    further = [(ids, np.full(len(ids), purpose)) for purpose, ids in split.further.items()]
    neither = [np.zeros(len(ids), dtype=bool) for ids, _ in further]
    columns = {
        "sample_id": np.concatenate([split.sample_id, *(ids for ids, _ in further)]),
        "member": np.concatenate([split.member, *neither]),
        "role": [str(role) for role in np.concatenate([split.role, *(role for _, role in further)])],
    }
    if split.units is not None:
        columns["unit"] = np.concatenate([split.units.unit, *(ids for ids, _ in further)])
        columns["trained"] = np.concatenate([split.units.trained, *neither])
    table = pa.Table.from_pydict(columns)
    meta = {
        "seed": split.seed,
        "dataset_digest": split.dataset_digest,
        "digest": split.digest,
        "source": asdict(split.source) if split.source else None,
        "split_by": split.split_by,
    }
    pq.write_table(table.replace_schema_metadata({_META: json.dumps(meta)}), path)


def read_split(path: Path) -> Split:
    """Read what `write_split` wrote. Raises `DataError` for another file or an altered table."""
    try:
        table = pq.read_table(path)
    except FileNotFoundError:
        raise DataError(f"No such split: {path}.") from None
    except (pa.ArrowInvalid, OSError):
        raise DataError(f"{path} is not a split: it is no Parquet file, or a damaged one.") from None
    metadata = table.schema.metadata or {}
    meta = metadata.get(_META, metadata.get(_FORMER_META))
    if meta is None or set(_COLUMNS) - set(table.column_names):
        raise DataError(f"{path} is not a split written by latentprint: it needs the columns {', '.join(_COLUMNS)}.")
    values = json.loads(meta)
    sample_id = table["sample_id"].to_numpy().astype(np.int64)
    role = np.asarray(table["role"].to_pylist(), dtype=np.str_)
    own = ~np.isin(role, FURTHER)
    split = Split(
        sample_id[own],
        _flags(table, "member")[own],
        role[own],
        str(values["dataset_digest"]),
        int(values["seed"]),
        DatasetSpec(**values["source"]) if values["source"] else None,
        {purpose: sample_id[role == purpose] for purpose in FURTHER if (role == purpose).any()},
        str(values.get("split_by", "")),
        _units(table, own),
    )
    if split.digest != values["digest"]:
        raise DataError(f"{path} was altered after it was written: its digest does not match. Draw the split again.")
    return split


def _units(table: pa.Table, own: NDArray[np.bool_]) -> Units | None:
    """The units of a table's own samples; None where it names none."""
    if set(_UNIT_COLUMNS) - set(table.column_names):
        return None
    return Units(table["unit"].to_numpy().astype(np.int64)[own], _flags(table, "trained")[own])


def _flags(table: pa.Table, column: str) -> NDArray[np.bool_]:
    return np.asarray(table[column].to_numpy(zero_copy_only=False), dtype=bool)
