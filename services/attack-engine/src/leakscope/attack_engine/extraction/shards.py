"""Shards: the samples that are extracted, written and resumed together."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from leakscope.core.datasets.base import Ids
from leakscope.core.digests import digest_arrays

_FEWEST, _MOST = 64, 1024
_IMAGES = 1024
_BYTES = 64 * 2**20


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


def samples_per_shard(queries: int, answer_bytes: int) -> int:
    """Samples in a shard, from 64 for attacks that ask much of each to 1,024 for those that ask little.

    A shard takes its time beside its queries, and a request no more than its shard's images.

    Args:
        queries: images a sample.
        answer_bytes: of one answer; the answers to more than 64 samples stay below 64 MiB.
    """
    by_bytes = _BYTES // max(1, queries * answer_bytes)
    return max(_FEWEST, min(_MOST, _IMAGES // queries, by_bytes))


def make_shards(ids: Iterable[int], size: int = _FEWEST) -> tuple[Shard, ...]:
    """Shards of `size` samples in order of id, each id once; the same ids always make the same shards.

    Since only the last shard is smaller, taking whole finished shards out of `ids` leaves the others as they were.
    """
    ordered = sorted({int(i) for i in ids})
    return tuple(Shard(tuple(ordered[start : start + size])) for start in range(0, len(ordered), size))
