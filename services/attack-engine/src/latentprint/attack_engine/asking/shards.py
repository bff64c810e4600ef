"""Shards: the samples that are extracted, written and resumed together."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.signal import Signal, asked_of
from latentprint.core.datasets.base import Ids
from latentprint.core.digests import digest_arrays

_FEWEST, _MOST = 64, 1024
_IMAGES = 1024
_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Shard:
    """Samples in the order that they are asked in; `name` is the digest of their ids."""

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
    """Shards of `size` samples in mixed order, each id once; the same ids always make the same shards.

    Since only the last shard is smaller, taking whole finished shards out of `ids` leaves the others as they were. The
    order has nothing to do with the ids', which often follow membership: were members asked before non-members, an
    endpoint whose answers drift, or depend on what travels with them, would tell the two apart by itself.
    """
    distinct = np.array(sorted({int(i) for i in ids}), dtype=np.int64)
    ordered = distinct[np.argsort(_mixed(distinct), kind="stable")].tolist()
    return tuple(Shard(tuple(ordered[start : start + size])) for start in range(0, len(ordered), size))


def filling(signal: Signal, shape: tuple[int, ...], shards: Sequence[Shard], together: int, full: int) -> int:
    """Images that fill up the last request of everything that a signal asks in one go to `full` ones."""
    lengths = [len(shard.ids) for shard in shards]
    batches = [min(together, length - start) for length in lengths for start in range(0, length, together)]
    return sum(-(samples * asked.count) % full for samples in batches for asked in asked_of(signal, shape))


def _mixed(ids: Ids) -> NDArray[np.uint64]:
    """A number for each id [N] that looks random and is always the same: the finaliser of SplitMix64 (Steele 2014)."""
    mixed = ids.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
