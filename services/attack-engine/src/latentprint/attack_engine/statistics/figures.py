"""What is drawn of an audit beside its numbers, as plain data."""

from dataclasses import dataclass

from latentprint.attack_engine.statistics.estimates import Histogram


@dataclass(frozen=True)
class Curves:
    """Mean diagnostic curves of members and non-members with standard errors, as a signal recorded them."""

    title: str
    x_label: str
    y_label: str
    members: tuple[float, ...]
    members_error: tuple[float, ...]
    non_members: tuple[float, ...]
    non_members_error: tuple[float, ...]


@dataclass(frozen=True)
class NamedHistogram:
    """A histogram over the evaluated samples of something that is no score."""

    title: str
    x_label: str
    histogram: Histogram


@dataclass(frozen=True)
class Correlations:
    """Mean correlations between sequences of values, of members and of non-members.

    `members` and `non_members` hold a row for each of `names`, of as many values in [-1, 1]; None where no sample has
    two sequences that vary.
    """

    title: str
    names: tuple[str, ...]
    members: tuple[tuple[float | None, ...], ...]
    non_members: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class SequenceFigures:
    """What sets sequences of members apart from those of non-members, beside their means, which are `Curves`."""

    correlations: Correlations
    histograms: tuple[NamedHistogram, ...]


Figure = Curves | NamedHistogram | Correlations
