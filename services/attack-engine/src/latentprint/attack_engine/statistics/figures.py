"""What is drawn of an audit beside its numbers, as plain data. A figure's `kind` tells which it is when it is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from latentprint.attack_engine.statistics.estimates import Histogram


@dataclass(frozen=True)
class Curves:
    """Mean curves of members and non-members with standard errors, one value a place along the x axis."""

    title: str
    x_label: str
    y_label: str
    members: tuple[float, ...]
    members_error: tuple[float, ...]
    non_members: tuple[float, ...]
    non_members_error: tuple[float, ...]
    kind: Literal["curves"] = "curves"


@dataclass(frozen=True)
class NamedHistogram:
    """A histogram over the evaluated samples of something that is no score; `note` says what was counted."""

    title: str
    x_label: str
    histogram: Histogram
    note: str = ""
    kind: Literal["histogram"] = "histogram"


@dataclass(frozen=True)
class Correlations:
    """Mean correlations between sequences of values, of members and of non-members; `note` says how they are taken.

    `members` and `non_members` hold a row for each of `names`, of as many values in [-1, 1]; None where no sample has
    two sequences that vary.
    """

    title: str
    names: tuple[str, ...]
    members: tuple[tuple[float | None, ...], ...]
    non_members: tuple[tuple[float | None, ...], ...]
    note: str = ""
    kind: Literal["correlations"] = "correlations"


Figure = Curves | NamedHistogram | Correlations
FIGURES: Mapping[str, type[Figure]] = {cls.kind: cls for cls in (Curves, NamedHistogram, Correlations)}
