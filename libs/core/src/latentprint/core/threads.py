"""How many threads torch computes with, for as long as a block lasts."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from latentprint.core.errors import UsageError


@contextmanager
def using_threads(threads: int | None) -> Iterator[None]:
    """Within the block torch computes with `threads` threads (None: as it is); restored afterwards."""
    before = torch.get_num_threads()
    if threads is not None:
        if threads < 1:
            raise UsageError(f"threads must be at least 1, not {threads}.")
        torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
