"""Finished cells on disk: scores as Parquet, the rest as JSON, each written whole or not at all."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores
from latentprint.attack_engine.attacks.fitting.scoring import Scored, ScoredCandidates
from latentprint.attack_engine.attacks.fitting.sweeps import Swept
from latentprint.attack_engine.statistics.figures import FIGURES
from latentprint.core.config import from_mapping
from latentprint.core.files import write_atomically

SCORES = "scores.parquet"
P_VALUES = "p_values.npy"
_FACTS = "cell.json"
_AUDIT, _CONTROL, _SWEEP, _TREATED = "audit", "control", "sweep", "treated"
_CANDIDATES, _KNOWN = "candidates", "known"
_Key = tuple[str, str, float]  # what the scores are of: kind, name, and a sweep's point
_COLUMNS = pa.schema(  # stated, because a sweep's point may be a whole number, and tables of other types do not join
    {
        "of": pa.string(),
        "name": pa.string(),
        "x": pa.float64(),
        "sample_id": pa.int64(),
        "member": pa.bool_(),
        "score": pa.float64(),
        "called": pa.bool_(),
    }
)


@dataclass(frozen=True)
class StoredScores:
    """A cell with what was seen of the endpoint when it was made."""

    scores: AuditScores
    queries: Queries
    card: Mapping[str, Any]

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """The outputs on the card, by name, each with the shape of one sample's answer."""
        return {name: tuple(shape) for name, shape in self.card["outputs"].items()}


def write_cell(stored: StoredScores, folder: Path) -> None:
    """Write a cell; its facts last, so that a folder with facts is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    cell = stored.scores
    scored = dict(_all_scored(cell))
    tables = [_table(key, one) for key, one in scored.items()]
    tables += [] if cell.candidates is None else [_candidates_table(cell.candidates)]
    pq.write_table(pa.concat_tables(tables), folder / SCORES)
    if cell.p_values is not None:
        np.save(folder / P_VALUES, cell.p_values)
    facts = {
        "scored": [{"of": key, "threshold": one.threshold} for key, one in scored.items()],
        "figures": [asdict(figure) for figure in cell.figures],
        "unreadable": cell.unreadable,
        "queries": asdict(stored.queries),
        "card": dict(stored.card),
    }
    write_atomically(folder / _FACTS, json.dumps(facts, indent=1).encode())


def is_written(folder: Path) -> bool:
    """Whether a cell lies whole in `folder`."""
    return (folder / _FACTS).exists()


def read_cell(folder: Path) -> StoredScores | None:
    """Read a cell; None where none was written."""
    if not is_written(folder):
        return None
    facts = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    table = pq.read_table(folder / SCORES)
    scored = {_key(item["of"]): _scored(table, _key(item["of"]), item["threshold"]) for item in facts["scored"]}
    figures = tuple(from_mapping(FIGURES[item["kind"]], item, str(folder)) for item in facts["figures"])
    p_values = np.load(folder / P_VALUES) if (folder / P_VALUES).exists() else None
    cell = AuditScores(
        scored[_AUDIT, "", 0.0],
        p_values,
        {name: one for (kind, name, _), one in scored.items() if kind == _CONTROL},
        figures,
        tuple(Swept(name, x, one) for (kind, name, x), one in scored.items() if kind == _SWEEP),
        {name: one for (kind, name, _), one in scored.items() if kind == _TREATED},
        facts["unreadable"],
        _candidates(table),
        scored.get((_KNOWN, "", 0.0)),
    )
    return StoredScores(cell, from_mapping(Queries, facts["queries"], str(folder)), facts["card"])


def score_table(scores: Path) -> dict[str, list[Any]]:
    """The evaluated samples of a cell's file of scores, by column, the highest score first."""
    table = pq.read_table(scores, columns=["of", "sample_id", "member", "score"])
    rows = table.filter(pc.field("of") == _AUDIT).drop_columns(["of"]).sort_by([("score", "descending")])
    found: dict[str, list[Any]] = rows.to_pydict()
    return found


def _all_scored(cell: AuditScores) -> Iterator[tuple[_Key, Scored]]:
    yield (_AUDIT, "", 0.0), cell.scored
    for name, scored in cell.controls.items():
        yield (_CONTROL, name, 0.0), scored
    for swept in cell.sweeps:
        yield (_SWEEP, swept.name, swept.x), swept.scored
    for side, scored in cell.treated.items():
        yield (_TREATED, side, 0.0), scored
    if cell.known is not None:
        yield (_KNOWN, "", 0.0), cell.known


def _key(stored: list[Any]) -> _Key:
    kind, name, x = stored
    return kind, name, float(x)


def _table(key: _Key, scored: Scored) -> pa.Table:
    rows = len(scored.sample_id)
    kind, name, x = (pa.repeat(part, rows) for part in key)
    called = pa.nulls(rows, pa.bool_()) if scored.called is None else pa.array(scored.called)
    columns = {"sample_id": scored.sample_id, "member": scored.member, "score": scored.score, "called": called}
    return pa.table({"of": kind, "name": name, "x": x, **columns}, schema=_COLUMNS)


def _candidates_table(scored: ScoredCandidates) -> pa.Table:
    """Like `_table`, with nobody's membership."""
    rows = len(scored.sample_id)
    kind, name, x = (pa.repeat(part, rows) for part in (_CANDIDATES, "", 0.0))
    columns = {"sample_id": scored.sample_id, "member": pa.nulls(rows, pa.bool_()), "score": scored.score}
    return pa.table({"of": kind, "name": name, "x": x, **columns, "called": pa.array(scored.called)}, schema=_COLUMNS)


def _candidates(table: pa.Table) -> ScoredCandidates | None:
    rows = table.filter(pc.field("of") == _CANDIDATES)
    return (
        ScoredCandidates(*(rows[name].to_numpy() for name in ("sample_id", "score", "called"))) if len(rows) else None
    )


def _scored(table: pa.Table, key: _Key, threshold: float) -> Scored:
    kind, name, x = key
    rows = table.filter((pc.field("of") == kind) & (pc.field("name") == name) & (pc.field("x") == x))
    sample_id, member, score = (rows[column].to_numpy() for column in ("sample_id", "member", "score"))
    called = None if rows["called"].null_count else rows["called"].to_numpy()
    return Scored(sample_id, member, score, threshold, called)
