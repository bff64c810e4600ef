"""Feature maps of any make: [N, D], [H, W, D] or [D, H, W], read as locations by channels."""

from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from latentprint.core.errors import UsageError

Channels = Literal["last", "first"]
_Shape = tuple[int, ...]  # of one sample's answer; -1 is a size that varies
_TILES = "let the embeddings of tiles stand for the map (partcrop.feature_map=tiles)"


def width_of(shape: _Shape | None) -> int | None:
    """Numbers in an answer of this shape; None where there is no such answer or its size varies."""
    return None if shape is None or min(shape, default=1) < 1 else prod(shape)


def channels_of(shape: _Shape, width: int | None) -> Channels | None:
    """Where the channels of a map of `shape` are; None where the shape does not tell.

    They are where the embedding's `width` is, if that is at one end alone; else a map [N, *] has them last, and one of
    as many rows as columns where its other size is.
    """
    ends: list[Channels] = ["first"] if shape[0] == width else []
    ends += ["last"] if shape[-1] == width else []
    if len(ends) == 1:
        return ends[0]
    if len(shape) == 2:
        return "last"
    first, second, third = shape
    if first == second != third:
        return "last"
    return "first" if second == third != first else None


def checked_channels(shape: _Shape, width: int | None, wanted: Channels | None, url: str) -> Channels:
    """Where the channels of the map that the endpoint at `url` gives are: where `wanted`, else see `channels_of`.

    Raises:
        UsageError: it is no map, does not tell where its channels are, or has a single location.
    """
    if len(shape) not in (2, 3):
        raise UsageError(
            f"{url} gives a feature_map of shape {list(shape)}; partcrop reads [locations, channels], [H, W, channels] "
            f"or [channels, H, W]: name another of its outputs with --output-name feature_map=NAME, or {_TILES}."
        )
    channels = wanted or channels_of(shape, width)
    if channels is None:
        raise UsageError(
            f"{url} gives a feature_map of shape {list(shape)}, which does not tell where its channels are: say so "
            "(partcrop.map_channels=last or first)."
        )
    if width_of(shape[:-1] if channels == "last" else shape[1:]) == 1:
        raise UsageError(
            f"{url} gives a feature_map of shape {list(shape)}, a single location, at which every part responds alike: "
            f"there is nothing for partcrop to read. Audit larger images, or {_TILES}."
        )
    return channels


def no_map(outputs: list[str], url: str) -> UsageError:
    """The error for an endpoint at `url` that has `outputs` and no feature map."""
    return UsageError(
        f"{url} offers no feature_map but {', '.join(outputs) or 'nothing'}: name its own with --output-name "
        f"feature_map=NAME, or {_TILES}."
    )


def as_locations(maps: NDArray[np.float32], channels: Channels) -> NDArray[np.float32]:
    """Maps [B, N, D] and [B, H, W, D] or, channels first, [B, D, N] and [B, D, H, W], as [B, N, D]."""
    if channels == "last":
        return maps.reshape(len(maps), -1, maps.shape[-1])
    return maps.reshape(len(maps), maps.shape[1], -1).transpose(0, 2, 1)
