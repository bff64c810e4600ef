"""Files of weights that were trained elsewhere: read without running anything that is in them."""

import struct
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from latentprint.core.errors import DataError, UsageError
from latentprint.core.text import printable

State = Mapping[str, Tensor]
_DEPTH = 4
_NAMED = 8
_REFUSED = "WeightsUnpickler error:"  # what torch says of anything but tensors
_ALONE = "save the state dict alone (torch.save(model.state_dict(), FILE), or safetensors.torch.save_file)"


def read_states(path: Path) -> dict[str, State]:
    """The state dicts of a file: where each is nested ("model", "ema.shadow"; "" for the file itself), and its tensors.

    Args:
        path: a safetensors file, or what `torch.save` wrote. Nothing but tensors, numbers, texts and containers of
            them is ever loaded.

    Raises:
        DataError: no such file, another format, a damaged one, one with Python objects, or one without tensors.
    """
    if not path.is_file():
        raise DataError(f"No such file of weights: {printable(path)}.")
    content = _mapped(path) if _is_safetensors(path) else _unpickled(path)
    found = dict(_states(content, "", _DEPTH))
    if not found:
        raise DataError(f"{printable(path)} holds no tensors by name: {_ALONE}.")
    return found


def choose_state(states: Mapping[str, State], key: str | None, path: Path) -> tuple[str, State]:
    """The state dict that is nested at `key`, or the only one.

    Raises:
        UsageError: there are several and `key` is None, or none is nested there.
    """
    names = ", ".join(repr(printable(name)) for name in list(states)[:_NAMED])
    if key is None and len(states) == 1:
        return next(iter(states.items()))
    if key is None:
        raise UsageError(f"{printable(path)} holds several state dicts: name one with --key, of {names}.")
    if key not in states:
        raise UsageError(f"{printable(path)} holds no state dict at --key {printable(key)!r}: it has {names}.")
    return key, states[key]


def _is_safetensors(path: Path) -> bool:
    """Whether the file begins with the length of a JSON header, and the header."""
    with path.open("rb") as stream:
        start = stream.read(9)
    return len(start) == 9 and start[8:] == b"{" and struct.unpack("<Q", start[:8])[0] + 8 <= path.stat().st_size


def _states(content: Any, place: str, depth: int) -> Iterator[tuple[str, State]]:
    """Mappings of names to tensors at any depth; an optimiser's, whose keys are numbers, are none."""
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        return
    tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
    if tensors:
        yield place, tensors
    if depth:
        for name, value in content.items():
            yield from _states(value, f"{place}.{name}" if place else name, depth - 1)


def _mapped(path: Path) -> State:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise DataError(f"{printable(path)} is truncated or damaged ({printable(error)}): fetch it again.") from None


def _unpickled(path: Path) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are about to be refused in our own words
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a stranger's file makes its reader raise has no common type
        first = printable((str(error).split(_REFUSED)[-1].strip().splitlines() or [""])[0]) or type(error).__name__
        if _REFUSED in str(error):
            raise DataError(
                f"{printable(path)} is not loaded, since it is no file of tensors alone, and loading anything else can "
                f"run code ({first}): {_ALONE}."
            ) from None
        raise DataError(f"{printable(path)} is no readable file of weights ({first}): {_ALONE}.") from None
