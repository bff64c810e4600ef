"""`baskets`: generated shopping baskets, binary vectors for machines without data sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.core.config import from_mapping
from latentprint.core.datasets.arrays import vector_dataset
from latentprint.core.datasets.base import DATASETS, Dataset, Ids, Vectors
from latentprint.core.datasets.checks import check_at_least
from latentprint.core.errors import UsageError
from latentprint.core.views.streams import uniforms

_CHUNK = 2048
_TYPES = 100  # of customers in all; few classes are made of several types each, so that they are as hard as many
_RAREST, _COMMONEST = 0.02, 0.5  # popularity of the products, a fraction of all baskets


@dataclass(frozen=True)
class BasketsOptions:
    """Options of `baskets`.

    Attributes:
        count: number of samples; the first n of many are those of n.
        features: products, bits of a vector.
        classes: classes of customers.
        noise: probability that a bit says nothing of the customer: it is drawn by the product's popularity instead of
            being what the type of customer likes.
        seed: of everything.
    """

    count: int = 10000
    features: int = 600
    classes: int = 100
    noise: float = 0.75
    seed: int = 0


@DATASETS.register(
    "baskets",
    summary="generated baskets of purchases, binary vectors; labels: class",
    source="generated; its form is that of the data set purchase",
    needs={"options": "count (10000), features (600), classes (100), noise (0.75), seed (0)", "files": "none"},
)
def baskets(options: Mapping[str, Any]) -> Dataset:
    """Generate `baskets`: each type of customer likes products of its own, drawn by popularity; a basket follows it.

    Raises:
        UsageError: a wrong option.
    """
    given = from_mapping(BasketsOptions, options, "data set 'baskets'")
    for option, least in (("count", 1), ("features", 1), ("classes", 1)):
        check_at_least(getattr(given, option), least, option, "baskets")
    if not 0 <= given.noise <= 1:
        raise UsageError(f"data set 'baskets': noise must lie in 0 .. 1, not {given.noise}.")
    ids = np.arange(given.count)
    kinds = given.classes * max(1, round(_TYPES / given.classes))
    types = np.floor(uniforms(ids, given.seed, (1,), purpose="baskets/type")[:, 0] * kinds).astype(np.int64)
    vectors = np.empty((given.count, given.features), dtype=np.float32)
    for start in range(0, given.count, _CHUNK):
        rows = slice(start, start + _CHUNK)
        vectors[rows] = _bits(ids[rows], types[rows], given)
    return vector_dataset("baskets", vectors, {"class": types % given.classes})


def _bits(ids: Ids, types: NDArray[np.int64], options: BasketsOptions) -> Vectors:
    """The baskets of `ids`, float32 [B, features] of zeros and ones."""
    seed, features = options.seed, options.features
    commonness = uniforms(np.zeros(1, dtype=np.int64), seed, (features,), purpose="baskets/popularity")
    popularity = _RAREST * (_COMMONEST / _RAREST) ** commonness  # [1, F], log-uniform
    kinds, place = np.unique(types, return_inverse=True)
    liked = uniforms(kinds, seed, (features,), purpose="baskets/liked") < popularity
    draws = uniforms(ids, seed, (features, 2), purpose="baskets/bits")  # [B, F, 2]
    return np.where(draws[..., 0] < options.noise, draws[..., 1] < popularity, liked[place]).astype(np.float32)
