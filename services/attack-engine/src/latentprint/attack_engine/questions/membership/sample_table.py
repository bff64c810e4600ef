"""Every sample of a report in one table: which file it is, on which side it lies, and what each attack says of it."""

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from latentprint.attack_engine.questions.audit import Audit
from latentprint.attack_engine.questions.membership.candidates import candidate_columns
from latentprint.attack_engine.questions.membership.exposure import file_of, percentiles, row_name
from latentprint.core.datasets import Dataset
from latentprint.core.splits import KNOWN, Split
from latentprint.core.text import spreadsheet_cell

_BOM = "\ufeff"  # without it some spreadsheets read a name's letters as of another alphabet


def sample_table(audits: Sequence[Audit], datasets: Mapping[str, Dataset]) -> pd.DataFrame:
    """One row a victim and sample, one group of columns an attack.

    Columns: victim, data set, file ("" for samples that are no files), sample_id, group (member, non-member, or of
    candidates unknown unless an experiment knows it), use (known, evaluated, candidate); of samples that belong to
    units "user" (the unit's name) and "trained" (whether this very sample was); of each attack "NAME score", "NAME
    percentile" (a fraction), "NAME p" (calibrated, for "not a member") and of candidates "NAME probability" (of a
    member, calibrated, at even odds), empty for samples that it did not score.

    Args:
        audits: of the report.
        datasets: the data sets of their splits, opened, by digest.
    """
    victims = dict.fromkeys((audit.victim.name, audit.victim.url, audit.split.digest) for audit in audits)
    frames = [
        _of_victim([one for one in audits if (one.victim.name, one.victim.url, one.split.digest) == victim], datasets)
        for victim in victims
    ]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def as_csv(table: pd.DataFrame) -> bytes:
    """`table` as a spreadsheet opens it: UTF-8 with its mark, and no text in it that would be read as a formula."""
    safe = table.rename(columns=spreadsheet_cell)
    for name in safe.select_dtypes(exclude="number").columns:
        safe[name] = [spreadsheet_cell(value) for value in safe[name]]
    text: str = safe.to_csv(index=False, lineterminator="\n")
    return (_BOM + text).encode()


def as_parquet(table: pd.DataFrame) -> bytes:
    """`table` as Parquet."""
    stream = io.BytesIO()
    table.to_parquet(stream, index=False)
    return stream.getvalue()


def _of_victim(audits: Sequence[Audit], datasets: Mapping[str, Dataset]) -> pd.DataFrame:
    split, victim = audits[0].split, audits[0].victim
    table = _samples(split, datasets[split.dataset_digest])
    scored_as = _units(split, table["sample_id"])
    table.insert(0, "victim", victim.name)
    table.insert(1, "data set", victim.dataset)
    for name, audit in _named(audits):
        scores = audit.stored.scores
        scored = scores.scored
        columns = {"score": scored.score, "percentile": percentiles(scored.score)}
        if scores.p_values is not None:
            columns["p"] = scores.p_values
        rows = pd.DataFrame(columns, index=scored.sample_id)
        if scores.candidates is not None:
            candidates = scores.candidates
            own = {"score": candidates.score, **candidate_columns(scores, candidates)}
            rows = pd.concat([rows, pd.DataFrame(own, index=candidates.sample_id)])
        rows = rows.reindex(scored_as)
        for column in rows.columns:
            table[f"{name} {column}"] = rows[column].to_numpy()
    return table


def _samples(split: Split, dataset: Dataset) -> pd.DataFrame:
    group = np.where(split.member, "member", "non-member")
    use = np.where(split.role == KNOWN, "known", "evaluated")
    candidates, used = len(split.candidates), split.used
    theirs = np.full(candidates, "unknown") if used is None else np.where(used, "member", "non-member")
    columns = {
        "sample_id": split.asked,
        "group": np.concatenate([group, theirs]),
        "use": np.concatenate([use, np.full(candidates, "candidate")]),
    }
    table = pd.DataFrame(columns).sort_values("sample_id", ignore_index=True)
    table.insert(0, "file", [file_of(dataset, int(sample)) for sample in table["sample_id"]])
    if split.units is not None:
        names = {int(unit): row_name(dataset, split, int(unit)) for unit in np.unique(split.unit)}
        table["user"] = [names[unit] for unit in _units(split, table["sample_id"])]
        table["trained"] = pd.Series(split.trained, index=split.sample_id)[table["sample_id"]].to_numpy()
    return table


def _units(split: Split, sample_ids: "pd.Series[int]") -> list[int]:
    """What each sample is scored as: its unit, or itself where it is none of the split's members and non-members."""
    unit = dict(zip(split.sample_id.tolist(), split.unit.tolist(), strict=True))
    return [unit.get(sample, sample) for sample in sample_ids.tolist()]


def _named(audits: Sequence[Audit]) -> Iterator[tuple[str, Audit]]:
    """Each audit of a victim with a name of its own."""
    seen: dict[str, int] = {}
    for audit in audits:
        name = f"{audit.attack.name} fitted on {audit.shadow}" if audit.shadow else audit.attack.name
        seen[name] = seen.get(name, 0) + 1
        yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), audit
