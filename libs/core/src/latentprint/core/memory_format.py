"""The memory format that convolutions are fastest in, where it is safe."""

from typing import TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)

_NARROWEST = 8


def channels_last(model: Model) -> Model:
    """`model` with channels last: small convolutions then take two thirds of the time.

    One with a convolution of fewer than eight output channels is left as it is: on processors with AVX2 alone the
    backward pass of such residual networks writes past its buffers in that format (torch 2.15.0).
    """
    widths = [module.out_channels for module in model.modules() if isinstance(module, nn.Conv2d)]
    if widths and min(widths) >= _NARROWEST:
        model.to(memory_format=torch.channels_last)
    return model
