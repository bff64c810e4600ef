"""Shards: the samples that are extracted, written and resumed together."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from leakscope.core.datasets.base import Ids
from leakscope.core.digests import digest_arrays

SHARD_SIZE = 64


@dataclass(frozen=True)
class Shard:
    """Samples in order of id; `name` is the digest of their ids."""

    ids: tuple[int, ...]

    @property
    def array(self) -> Ids:
        """The ids as int64 [B]."""
        return np.asarray(self.ids, dtype=np.int64)

    @property
    def name(self) -> str:
        """Digest of the ids, 16 hexadecimal digits."""
        return digest_arrays(sample_id=self.array)[:16]


def make_shards(ids: Iterable[int], size: int = SHARD_SIZE) -> tuple[Shard, ...]:
    """Shards of `size` samples in order of id, each id once; the same ids always make the same shards.

    Since only the last shard is smaller, taking whole finished shards out of `ids` leaves the others as they were.
    """
    ordered = sorted({int(i) for i in ids})
    return tuple(Shard(tuple(ordered[start : start + size])) for start in range(0, len(ordered), size))
