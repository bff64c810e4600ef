"""Where an image's object is, found locally: from its spectrum, or from an encoder's gradients; no query is spent."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from latentprint.core.encoders import Encoder
from latentprint.core.outputs import EMBEDDING

Reals = NDArray[np.float64]

_LUMA = np.array([0.299, 0.587, 0.114])
_TINY = 1e-12


def spectral_residual(images: NDArray[np.uint8]) -> Reals:
    """Saliency maps float64 [B, H, W], each summing to 1, of uint8 [B, H, W, 3].

    An image's own log spectrum less its local mean is what stands out. A plain image is salient everywhere alike.

    Source: Hou and Zhang, "Saliency detection: a spectral residual approach", CVPR 2007.
    """
    gray = images.astype(np.float64) @ _LUMA
    spectrum = np.fft.fft2(gray, axes=(1, 2))
    log_amplitude = np.log(np.abs(spectrum) + _TINY)
    residual = log_amplitude - uniform_filter(log_amplitude, size=(0, 3, 3), mode="wrap")
    back = np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)), axes=(1, 2))
    return normalised_maps(np.square(np.abs(back)))


def gradient_saliency(images: NDArray[np.uint8], bundle: Path) -> NDArray[np.float64]:
    """Saliency float64 [B, H, W] of uint8 [B, H, W, 3]: how strongly a local encoder's embedding depends on each pixel.

    The gradient of half the embedding's squared norm (Simonyan et al., 2013, arXiv:1312.6034, for an embedding).

    Raises:
        DataError: `bundle` is no victim bundle.
    """
    encoder = _local_encoder(bundle)
    pixels = torch.from_numpy(images).float().requires_grad_()
    with torch.enable_grad():
        embedding = encoder(pixels, [EMBEDDING])[EMBEDDING]
        (gradient,) = torch.autograd.grad(embedding.square().sum() / 2, pixels)
    energy = gradient.square().sum(dim=-1).double().numpy()
    scale = energy.sum(axis=(1, 2), keepdims=True)
    return normalised_maps(np.divide(energy, scale, out=np.zeros_like(energy), where=scale > 0))


def normalised_maps(energy: Reals) -> Reals:
    """Maps of non-negative energy [B, H, W], smoothed by a sixteenth of their side and scaled to sum to 1."""
    sigma = max(energy.shape[1:]) / 16
    smooth = gaussian_filter(energy, sigma=(0, sigma, sigma), mode="nearest") + _TINY
    maps: Reals = smooth / smooth.sum(axis=(1, 2), keepdims=True)
    return maps


def object_boxes(saliency: Reals, share: float = 0.6) -> NDArray[np.int64]:
    """The box of each image's object: along each axis, the middle that holds `share` of the saliency.

    Args:
        saliency: [B, H, W], each map summing to 1.
        share: a fraction.

    Returns:
        int64 [B, 4]: top, left, height, width; at least one pixel each.
    """
    spans = [_span(saliency.sum(axis=axis), share) for axis in (2, 1)]
    (top, tall), (left, wide) = spans
    return np.stack([top, left, tall, wide], axis=1)


def _span(mass: Reals, share: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and length of the middle `share` of mass [B, L]."""
    cumulative = np.cumsum(mass, axis=1)
    start = (cumulative <= (1 - share) / 2 + _TINY).sum(axis=1)
    stop = (cumulative < (1 + share) / 2 - _TINY).sum(axis=1) + 1
    start = np.minimum(start, mass.shape[1] - 1)
    return start, np.maximum(np.minimum(stop, mass.shape[1]) - start, 1)


@lru_cache(maxsize=1)
def _local_encoder(bundle: Path) -> Encoder:
    from latentprint.core.bundles import open_bundle  # timm and torchvision, for this alone

    return open_bundle(bundle)[0]
