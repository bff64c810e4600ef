"""Random numbers that belong to a sample: the same whatever the batch it travels in."""

import hashlib
import math

import numpy as np
from numpy.typing import NDArray

from latentprint.core.errors import UsageError

_LARGEST_SEED = 2**64 - 1


def uniforms(
    sample_ids: NDArray[np.int64], seed: int, shape: tuple[int, ...], purpose: str = ""
) -> NDArray[np.float64]:
    """Uniform draws in [0, 1), each sample's from a Philox stream of its own.

    A row depends on its sample id, `seed` and `purpose` alone: permuting the ids permutes the rows, and a longer
    `shape` begins with what a shorter one gives (in row-major order).

    Args:
        sample_ids: int64 [B].
        seed: 0 .. 2**64 - 1; with the sample id, the key of the stream.
        shape: draws wanted for each sample.
        purpose: keeps apart streams that share ids and seed; sets the upper half of the counter.

    Returns:
        float64 [B, *shape].

    Raises:
        UsageError: a seed out of range.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox 4x64-10, as in NumPy).
    """
    if not 0 <= seed <= _LARGEST_SEED:
        raise UsageError(f"A seed must lie in 0 .. 2**64 - 1, not {seed}.")
    draws = np.empty((len(sample_ids), math.prod(shape)))
    bits = np.random.Philox(key=np.array([seed, 0], dtype=np.uint64), counter=_counter(purpose))
    generator = np.random.Generator(bits)
    start = bits.state
    for row, sample_id in zip(draws, sample_ids.astype(np.int64).tolist(), strict=True):
        start["state"]["key"][1] = sample_id
        bits.state = start
        generator.random(out=row)
    return draws.reshape(len(sample_ids), *shape)


def _counter(purpose: str) -> NDArray[np.uint64]:
    upper = np.frombuffer(hashlib.sha256(purpose.encode()).digest()[:16], dtype="<u8")
    return np.concatenate([np.zeros(2, dtype=np.uint64), upper.astype(np.uint64)])
