"""Checks that several data sets share."""

from latentprint.core.datasets.base import Ids
from latentprint.core.errors import UsageError
from latentprint.core.samples import Size, height_width, size_of

SMALLEST_SIDE = 8
LARGEST_SIDE = 1024


def check_side(side: int, name: str, option: str = "side") -> int:
    """`side` itself. Raises `UsageError` unless it is a sensible image side in pixels."""
    if not SMALLEST_SIDE <= side <= LARGEST_SIDE:
        raise UsageError(
            f"data set {name!r}: {option} must lie in {SMALLEST_SIDE} .. {LARGEST_SIDE} pixels, not {side}."
        )
    return side


def check_size(size: Size, name: str) -> Size:
    """`size` itself, a side where it is square. Raises `UsageError` unless its sides are sensible, in pixels."""
    height, width = height_width(size)
    return size_of(check_side(height, name), check_side(width, name))


def check_at_least(value: int, least: int, option: str, name: str) -> int:
    """`value` itself. Raises `UsageError` where it is below `least`."""
    if value < least:
        raise UsageError(f"data set {name!r}: {option} must be at least {least}, not {value}.")
    return value


def check_share(value: float, option: str, name: str) -> float:
    """`value` itself. Raises `UsageError` unless it is a share, 0 to 1."""
    if not 0 <= value <= 1:
        raise UsageError(f"data set {name!r}: {option} must lie in 0 .. 1, not {value}.")
    return value


def check_ids(ids: Ids, count: int, name: str) -> None:
    """Raise `UsageError` for an id that a data set of `count` samples does not have."""
    wrong = ids[(ids < 0) | (ids >= count)]
    if len(wrong):
        raise UsageError(f"{name!r} has samples 0 .. {count - 1}; there is no sample {wrong[0]}.")
