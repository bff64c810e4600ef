"""Random streams keyed by what they are for, so that a resumed run draws what an undisturbed one would have drawn.

No generator's state is ever stored: step t of a run with seed s always draws from the stream (s, purpose, t).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from zlib import crc32

import numpy as np
import torch


def stream_seed(seed: int, purpose: str, *index: int) -> int:
    """A 63-bit seed for one purpose and index, independent of every other purpose's and index's."""
    entropy = [seed, crc32(purpose.encode()), *index]
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> np.uint64(1))


def numpy_stream(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """A numpy generator of the stream (seed, purpose, index)."""
    return np.random.default_rng([seed, crc32(purpose.encode()), *index])


@contextmanager
def seeded_initialisation(seed: int) -> Iterator[None]:
    """Within the block, layers that initialise from torch's own generator follow `seed`; restored afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(seed, "initialisation"))
        yield
