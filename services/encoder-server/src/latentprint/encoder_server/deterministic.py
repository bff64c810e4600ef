"""Answers whose bits do not depend on the batch they travelled in: every forward has the same shape."""

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from latentprint.core.encoders import Encoder
from latentprint.core.samples import Samples, blank_samples, is_vector
from latentprint.encoder_server.forward import Arrays, Forward
from latentprint.encoder_server.settings import Batching, Compute

FIXED_BATCH = 16
CALIBRATED = 256  # shapes and outputs whose number is remembered


class FixedForward(Forward):
    """A forward that always sees the same number of samples of a size, the last batch padded with zeros.

    Kernels may treat a row by its place in the batch, so their number is the largest power of two, up to
    `FIXED_BATCH`, at which a probe gets the same bits in every place; at 1 there is only one place.
    """

    def __init__(self, encoder: Encoder, device: str, compute: Compute, batching: Batching) -> None:
        super().__init__(encoder, device, compute, batching)
        self._sizes: OrderedDict[tuple[tuple[int, ...], tuple[str, ...]], int] = OrderedDict()

    def batch(self, samples: Samples, outputs: Sequence[str]) -> Arrays:
        """All these samples, in forwards of the fixed shape."""
        size = self._fixed_batch(samples.shape[1:], tuple(outputs))
        parts = []
        for start in range(0, len(samples), size):
            part = samples[start : start + size]
            answers = super().batch(_padded(part, size), outputs)
            parts.append({name: array[: len(part)] for name, array in answers.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in outputs}

    def _fixed_batch(self, shape: tuple[int, ...], outputs: tuple[str, ...]) -> int:
        if (shape, outputs) not in self._sizes:
            self._sizes[shape, outputs] = self._calibrate(shape, outputs)
            if len(self._sizes) > CALIBRATED:
                self._sizes.popitem(last=False)
        self._sizes.move_to_end((shape, outputs))
        return self._sizes[shape, outputs]

    def _calibrate(self, shape: tuple[int, ...], outputs: tuple[str, ...]) -> int:
        size = FIXED_BATCH
        levels = np.random.default_rng(0).integers(0, 256, (1, *shape), dtype=np.uint8)
        probe = levels / np.float32(255) if is_vector(shape) else levels
        while size > 1:
            answers = super().batch(np.repeat(probe, size, axis=0), outputs)
            if all((array == array[:1]).all() for array in answers.values()):
                break
            size //= 2
        return size


def _padded(samples: Samples, size: int) -> Samples:
    return np.concatenate([samples, blank_samples(size - len(samples), samples.shape[1:])])
