"""Gaussian blur, each image by its own width."""

import torch
from torch import Tensor
from torch.nn import functional

_RADIUS = 0.05  # of the side: a kernel of a tenth of the image, as in SimCLR (23 pixels at 224)


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur float [B, 3, H, W] by float [B] pixels of standard deviation, reflected at the edges.

    The kernel is cut off at a twentieth of the image's height to each side, at least one pixel.

    Source: Chen et al., SimCLR, ICML 2020, appendix A.
    """
    radius = min(max(1, round(_RADIUS * images.shape[-2])), min(images.shape[-2:]) - 1)
    place = torch.arange(-radius, radius + 1, device=images.device)
    weights = torch.exp(-0.5 * (place / sigma[:, None]) ** 2)  # [B, 2 r + 1]
    weights = (weights / weights.sum(dim=1, keepdim=True)).to(images.dtype)
    padded = functional.pad(images, (radius,) * 4, mode="reflect")
    return _along(_along(padded, weights, 2), weights, 3)


def _along(images: Tensor, weights: Tensor, axis: int) -> Tensor:
    """Correlate along one axis with each image's weights [B, k]; the result is k - 1 shorter there."""
    taps = weights.shape[1]
    length = images.shape[axis] - taps + 1
    total = images.narrow(axis, 0, length) * weights[:, 0].view(-1, 1, 1, 1)
    for tap in range(1, taps):
        total.addcmul_(images.narrow(axis, tap, length), weights[:, tap].view(-1, 1, 1, 1))
    return total
