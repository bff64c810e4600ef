"""Checkpoints: one safetensors file with the tensors, and everything else as JSON in its header. Never a pickle."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer

from latentprint.core.errors import DataError
from latentprint.core.files import write_atomically

_METHOD = "method/"
_OPTIMISER = "optimiser/"
_HEADER = "latentprint"


@dataclass
class Position:
    """Where a training stands, beside its tensors.

    Attributes:
        step: optimiser steps done.
        loss_sum: sum of the losses of this epoch's images so far.
        seconds: time spent in training steps, over all runs.
        history: one mapping per evaluation: epoch, loss, knn_accuracy.
    """

    step: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def save_checkpoint(path: Path, identity: str, method: nn.Module, optimiser: Optimizer, position: Position) -> None:
    """Write all that a training needs to go on, atomically.

    Raises:
        DataError: the file cannot be written; the previous checkpoint then still stands.
    """
    tensors = {f"{_METHOD}{name}": value for name, value in method.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"{_OPTIMISER}{index}/{key}": value for key, value in state.items() if value is not None}
    plain = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    header = json.dumps({"identity": identity, "position": vars(position)})
    write_atomically(path, save(plain, {_HEADER: header}), durable=True)


def load_checkpoint(path: Path, identity: str, method: nn.Module, optimiser: Optimizer) -> Position:
    """Restore `method` and `optimiser` in place from what `save_checkpoint` wrote; returns where it stood.

    Raises:
        DataError: a file that is damaged, or of another training.
    """
    try:
        with safe_open(path, framework="pt") as stream:
            header = json.loads((stream.metadata() or {})[_HEADER])
            names = stream.keys()
            tensors = {name: stream.get_tensor(name) for name in names}
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise DataError(f"The checkpoint {path} is damaged ({error}): remove it and train from the start.") from None
    if header["identity"] != identity:
        raise DataError(
            f"The checkpoint {path} belongs to another training (recipe, options, data, split, seed, epochs "
            "or the code that trains differ): choose another folder, or remove it."
        )
    method.load_state_dict({n.removeprefix(_METHOD): t for n, t in tensors.items() if n.startswith(_METHOD)})
    _restore_optimiser(optimiser, tensors)
    return Position(**header["position"])


def _restore_optimiser(optimiser: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    state: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        if name.startswith(_OPTIMISER):
            index, key = name.removeprefix(_OPTIMISER).split("/")
            like = parameters[int(index)]
            kept = torch.empty_like(like).copy_(value) if value.shape == like.shape else value
            state.setdefault(int(index), {})[key] = kept
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
