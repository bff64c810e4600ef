"""Finished cells on disk: scores as Parquet, the rest as JSON, each written whole or not at all."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from leakscope.attack_engine.audits.cell import Cell
from leakscope.attack_engine.audits.scoring import Scored
from leakscope.attack_engine.evaluation.results import Curves, Queries
from leakscope.core.config import from_mapping
from leakscope.core.files import write_atomically

SCORES = "scores.parquet"
_FACTS = "cell.json"
_AUDIT = "audit"


@dataclass(frozen=True)
class StoredCell:
    """A cell with what was seen of the endpoint when it was made."""

    cell: Cell
    queries: Queries
    card: Mapping[str, Any]


def write_cell(stored: StoredCell, folder: Path) -> None:
    """Write a cell; its facts last, so that a folder with facts is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    cell = stored.cell
    frames = [_frame(_AUDIT, cell.scored).assign(p_value=cell.p_values)]
    frames += [_frame(name, scored) for name, scored in cell.controls.items()]
    pd.concat(frames).to_parquet(folder / SCORES, index=False)
    facts = {
        "thresholds": {_AUDIT: cell.scored.threshold} | {name: s.threshold for name, s in cell.controls.items()},
        "curves": [asdict(curves) for curves in cell.curves],
        "queries": asdict(stored.queries),
        "card": dict(stored.card),
    }
    write_atomically(folder / _FACTS, json.dumps(facts, indent=1).encode())


def read_cell(folder: Path) -> StoredCell | None:
    """Read a cell; None where none was written."""
    if not (folder / _FACTS).exists():
        return None
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    table = pd.read_parquet(folder / SCORES)
    scored = dict(_scored(table, facts["thresholds"]))
    audit = table[table["of"] == _AUDIT]
    curves = tuple(from_mapping(Curves, item, str(folder)) for item in facts["curves"])
    cell = Cell(scored.pop(_AUDIT), audit["p_value"].to_numpy(dtype=np.float64), scored, curves)
    return StoredCell(cell, from_mapping(Queries, facts["queries"], str(folder)), facts["card"])


def _frame(name: str, scored: Scored) -> pd.DataFrame:
    columns = {"sample_id": scored.sample_id, "member": scored.member, "score": scored.score}
    return pd.DataFrame({"of": name, **columns})


def _scored(table: pd.DataFrame, thresholds: Mapping[str, float]) -> Iterator[tuple[str, Scored]]:
    for name, threshold in thresholds.items():
        rows = table[table["of"] == name]
        yield (
            name,
            Scored(rows["sample_id"].to_numpy(), rows["member"].to_numpy(), rows["score"].to_numpy(), threshold),
        )
