"""Where and how precisely a training computes."""

from typing import Literal, get_args

import torch

from latentprint.core.errors import UsageError, unknown_name

Precision = Literal["auto", "fp32", "bf16"]


def resolve_device(name: str) -> torch.device:
    """A device by name; "auto" takes a GPU where there is one.

    Raises:
        UsageError: a name torch does not know, or a device this machine lacks.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        cause = str(error).splitlines()[0]
        raise UsageError(f"The device {name!r} cannot be used here ({cause}): take 'auto', 'cpu' or 'cuda'.") from None
    return device


def resolve_autocast(precision: str, device: torch.device) -> torch.dtype | None:
    """The dtype of the forward pass, None for full precision; "auto" is bf16 on a GPU that computes it, else fp32.

    Raises:
        UsageError: an unknown precision.
    """
    if precision not in get_args(Precision):
        raise unknown_name("precision", precision, get_args(Precision))
    if precision == "auto":
        precision = "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    return torch.bfloat16 if precision == "bf16" else None
