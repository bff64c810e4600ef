"""Samples that a model was asked about, with its answers on disk."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.signal_store import read_signals
from latentprint.core.datasets import Dataset, DatasetSpec, Ids


@dataclass(frozen=True)
class StoredAnswers:
    """Small and picklable.

    Attributes:
        dataset: where the samples come from.
        ids: int64 [Q].
        folder: where the plain answers to them were extracted to.
        answer_shape: of one answer.
    """

    dataset: DatasetSpec
    ids: Ids
    folder: Path
    answer_shape: tuple[int, ...]

    def answers(self) -> NDArray[np.float32]:
        """The answers, float32 [Q, ...]. Raises `DataError` where some are missing."""
        values = read_signals(self.folder, self.ids).values
        return values.reshape(len(values), *self.answer_shape)

    def some(self, count: int | None) -> "StoredAnswers":
        """`count` samples, as far apart as they can be, since many data sets are in order of class; all for None."""
        if count is None or count >= len(self.ids):
            return self
        return self.only(np.arange(count) * len(self.ids) // count)

    def only(self, rows: NDArray[np.int64]) -> "StoredAnswers":
        """The samples at `rows`."""
        return replace(self, ids=self.ids[rows])


def opened(spec: DatasetSpec) -> Dataset:
    """The data set, opened once a process for as many works as it does; content alone decides what is shared."""
    return _opened(spec.name, json.dumps(_plain(spec.options), sort_keys=True))


@lru_cache(maxsize=4)
def _opened(name: str, options: str) -> Dataset:
    return DatasetSpec(name, json.loads(options)).open()


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
