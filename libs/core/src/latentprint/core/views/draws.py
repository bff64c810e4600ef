"""The random numbers of one augmented view, by name."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]

_RETRIES = 9
_SINGLE = 8
DRAWS = _SINGLE + 4 + 3 + 2 + 2 * _RETRIES  # uniform draws that a view takes, whatever its augmentation


@dataclass(frozen=True)
class ViewDraws:
    """Uniform draws in [0, 1) of V views: the decisions come after, so an unused part leaves the others alone.

    Attributes:
        flip, rotation, jitter, hue, grayscale, blur, sigma, solarize: float64 [V].
        box: float64 [V, 4], for the crop's area, ratio and place.
        factors: float64 [V, 3], for brightness, contrast and saturation.
        shift: float64 [V, 2], for the move along x and y.
        retries: float64 [V, 9, 2], for a crop that does not fit.
    """

    flip: Reals
    rotation: Reals
    jitter: Reals
    hue: Reals
    grayscale: Reals
    blur: Reals
    sigma: Reals
    solarize: Reals
    box: Reals
    factors: Reals
    shift: Reals
    retries: Reals

    @classmethod
    def of(cls, draws: Reals) -> "ViewDraws":
        """Name the columns of float64 [V, DRAWS]."""
        flip, rotation, jitter, hue, gray, blur, sigma, solar = draws[:, :_SINGLE].T
        box, factors, shift, retries = np.split(draws[:, _SINGLE:], np.cumsum([4, 3, 2]), axis=1)
        retries = retries.reshape(-1, _RETRIES, 2)
        return cls(flip, rotation, jitter, hue, gray, blur, sigma, solar, box, factors, shift, retries)
