"""How far a sample lies from where its predicted class changes, found by asking for nothing but predicted classes."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from latentprint.attack_engine.asking.endpoint import Endpoint
from latentprint.attack_engine.asking.signal import Outputs, SignalBatch, Values
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.core.checks import require
from latentprint.core.datasets import Ids
from latentprint.core.outputs import POSTERIOR
from latentprint.core.samples import Samples, is_vector
from latentprint.core.views.streams import uniforms

Floats = NDArray[np.float32]

_STARTS = 12  # candidates for a first sample of another class
_FIRST_HALVINGS, _HALVINGS = 7, 6  # of the line from the sample to one of another class
_STEPS = np.array([1.0, 0.5, 0.25, 0.125], dtype=np.float32)  # along the boundary's normal, the longest first
_FEWEST_PROBES = 2
_PROBE_RADIUS = 0.1  # of the distance so far
_BLOCKS = 8  # a side of the grid on which images are changed: normals are found faster in fewer dimensions
_BRIGHTEST = 255
_SMALLEST = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class BoundaryDistance:
    """HopSkipJump with as many queries for every sample; of each answer the predicted class alone is read.

    From a changed sample of another class, the boundary is sought on the line to the sample; then, in each round, the
    boundary's normal is estimated from random changes around the place found, a step is taken along it, and the
    boundary sought again. All samples of a batch take the same steps side by side.

    Sources: Chen, Jordan and Wainwright, "HopSkipJumpAttack", S&P 2020; changes of images are drawn on a coarse grid,
    as in QEBA (Li et al., CVPR 2020).

    Attributes:
        queries: of each sample.
        rounds: of estimating the normal.
        seed: of all that is drawn.
    """

    queries: int = 200
    rounds: int = 4
    seed: int = 0

    name = "boundary-distance"
    outputs = (POSTERIOR,)
    choice = ""

    def __post_init__(self) -> None:
        require(self.rounds >= 1, "label-only: rounds", self.rounds, "at least 1")
        least = _before_rounds() + self.rounds * (_after_probes() + _FEWEST_PROBES)
        require(self.queries >= least, "label-only: queries", self.queries, f"at least {least} in {self.rounds} rounds")

    def for_outputs(self, outputs: Outputs, url: str) -> "BoundaryDistance":
        """See `ShapedSignal.for_outputs`: a posterior is one probability for each of two or more classes."""
        PlainAnswer(POSTERIOR).for_outputs(outputs, url)
        return self

    def queries_per_sample(self, sample_shape: tuple[int, ...]) -> int:
        """As many as the option says."""
        return self.queries

    def extract(self, images: Samples, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Of uint8 images [B, H, W, 3] or vectors float32 [B, F]: float32 [B, 2 + rounds].

        The predicted class, and the Euclidean distance to the nearest sample of another class after the first line
        and after each round. Pixels count from 0 to 1. Where nothing of another class is found, the distance is that
        of the farthest candidate.
        """
        search = _BoundarySearch(images, endpoint)
        search.start(_starts(images, sample_ids, self.seed))
        search.halve(search.nearest, _FIRST_HALVINGS)
        found = [search.label.astype(np.float32), search.distance]
        for number, probes in enumerate(self._probes, start=1):
            changes = _changes(sample_ids, images.shape[1:], probes, self.seed, f"boundary round {number}")
            search.halve(search.stepped(changes, number), _HALVINGS)
            found.append(search.distance)
        return SignalBatch(np.stack(found, axis=1))

    def features(self, values: Values, queries: int | None = None) -> Values | None:
        """See `Signal.features`: (predicted class, distance), the distance after as many rounds as `queries` pay."""
        rounds = self.rounds if queries is None else self._rounds_within(queries)
        return None if rounds is None else values[:, None, [0, 1 + rounds]]

    @property
    def _probes(self) -> list[int]:
        """Random changes in each round: what `queries` leave, as even as it can be."""
        left = self.queries - _before_rounds() - self.rounds * _after_probes()
        return [len(part) for part in np.array_split(np.arange(left), self.rounds)]

    def _rounds_within(self, queries: int) -> int | None:
        spent = np.cumsum([_before_rounds(), *(probes + _after_probes() for probes in self._probes)])
        paid = int((spent <= queries).sum())
        return paid - 1 if paid and queries <= self.queries else None


class _BoundarySearch:
    """The state of the search of B samples: for each, the nearest sample of another class that was asked about."""

    def __init__(self, samples: Samples, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._shape = samples.shape[1:]
        self._unit = 1 if is_vector(self._shape) else _BRIGHTEST
        self._original = samples.reshape(len(samples), -1).astype(np.float32)
        self._found = np.full(len(samples), np.inf, dtype=np.float32)
        self._reach = np.zeros(len(samples), dtype=np.float32)
        self.nearest = self._original.copy()
        self.label = self._labels(samples[:, None])[:, 0]

    @property
    def distance(self) -> Floats:
        """Of the nearest sample of another class, or of the farthest candidate for one; float32 [B]."""
        reached: Floats = (np.minimum(self._found, self._reach) / self._unit).astype(np.float32)
        return reached

    def start(self, candidates: Floats) -> None:
        """Ask about `candidates` [B, N, F] for a sample of another class."""
        self._reach = _lengths(candidates - self._original[:, None]).max(axis=1)
        self._ask(candidates)

    def halve(self, far: Floats, times: int) -> None:
        """Seek the boundary between each sample and `far` [B, F], halving what it must lie in."""
        way, low = far - self._original, np.zeros(len(far), dtype=np.float32)
        high = np.ones_like(low)
        for _ in range(times):
            middle = (low + high) / 2
            crossed = self._ask((self._original + middle[:, None] * way)[:, None])[:, 0]
            low, high = np.where(crossed, low, middle), np.where(crossed, middle, high)

    def stepped(self, changes: Floats, number: int) -> Floats:
        """The nearest [B, F], moved along the boundary's normal as `changes` [B, N, F] of length 1 tell it.

        The first of the halved steps that leaves it in another class is taken (Alg. 2 of HopSkipJump).
        """
        base, reached = self.nearest.copy(), np.minimum(self._found, self._reach)
        least = 0 if self._unit == 1 else base.shape[1] ** 0.5  # a level of grey a pixel: less is rounded away
        radius = np.maximum(_PROBE_RADIUS * reached, least).astype(np.float32)
        crossed = self._ask(base[:, None] + radius[:, None, None] * changes)
        normal = np.einsum("bn,bnf->bf", _contrast(crossed), changes)
        normal /= np.maximum(_lengths(normal), _SMALLEST)[:, None]
        lengths = (reached[:, None] * _STEPS / number**0.5).astype(np.float32)
        places = base[:, None] + lengths[..., None] * normal[:, None]
        beyond = self._ask(places)
        taken = places[np.arange(len(base)), beyond.argmax(axis=1)]
        stepped: Floats = np.where(beyond.any(axis=1, keepdims=True), taken, self.nearest)
        return stepped

    def _ask(self, places: Floats) -> NDArray[np.bool_]:
        """Whether `places` [B, N, F] are of another class than their sample, bool [B, N]; the nearest such is kept."""
        asked = places if self._unit == 1 else np.rint(places).clip(0, _BRIGHTEST)
        samples = asked.astype(np.float32 if self._unit == 1 else np.uint8)
        labels = self._labels(samples.reshape(*places.shape[:2], *self._shape))
        crossed: NDArray[np.bool_] = np.not_equal(labels, self.label[:, None])
        distance = np.where(crossed, _lengths(asked - self._original[:, None]), np.inf).astype(np.float32)
        rows, best = np.arange(len(asked)), distance.argmin(axis=1)
        closer = distance[rows, best] < self._found
        self._found = np.where(closer, distance[rows, best], self._found)
        self.nearest = np.where(closer[:, None], asked[rows, best], self.nearest)
        return crossed

    def _labels(self, samples: Samples) -> NDArray[np.int64]:
        """Predicted classes int64 [B, N] of samples [B, N, ...]."""
        flat = samples.reshape(-1, *self._shape)
        labels: NDArray[np.int64] = self._endpoint.query(flat, (POSTERIOR,))[POSTERIOR].argmax(axis=1)
        return labels.reshape(samples.shape[:2])


def _before_rounds() -> int:
    """Queries before the first round: the sample, the candidates, the first line."""
    return 1 + _STARTS + _FIRST_HALVINGS


def _after_probes() -> int:
    """Queries of a round beside its random changes."""
    return len(_STEPS) + _HALVINGS


def _lengths(vectors: Floats) -> Floats:
    """Euclidean norms [...] of vectors [..., F]."""
    lengths: Floats = np.linalg.norm(vectors, axis=-1)
    return lengths


def _contrast(crossed: NDArray[np.bool_]) -> Floats:
    """Weights [B, N] of changes: 1 or -1 less their mean, or their mean where all went to one side."""
    sign = np.where(crossed, np.float32(1), np.float32(-1))
    mean = sign.mean(axis=1, keepdims=True)
    weights: Floats = np.where(np.abs(mean) == 1, mean, sign - mean)
    return weights


def _starts(samples: Samples, sample_ids: Ids, seed: int) -> Floats:
    """Candidates for another class, float32 [B, N, F]: vectors shuffled, images under ever finer random squares."""
    if is_vector(samples.shape[1:]):
        order = uniforms(sample_ids, seed, (_STARTS, samples.shape[1]), "boundary starts").argsort(axis=2)
        return np.take_along_axis(samples[:, None].astype(np.float32), order, axis=2)
    drawn = uniforms(sample_ids, seed, (_STARTS, _BLOCKS, _BLOCKS, 3), "boundary starts") * _BRIGHTEST
    coarseness = np.array([_BLOCKS, _BLOCKS // 2, _BLOCKS // 4, 1])  # side of the squares that are alike, in blocks
    for number in range(_STARTS):
        first = np.arange(_BLOCKS) // coarseness[number % len(coarseness)] * coarseness[number % len(coarseness)]
        drawn[:, number] = drawn[:, number][:, first][:, :, first]
    return _enlarged(drawn, samples.shape[1:3])


def _changes(sample_ids: Ids, sample_shape: tuple[int, ...], count: int, seed: int, purpose: str) -> Floats:
    """Random changes of length 1, float32 [B, N, F], the same whatever the batch; of images alike within squares."""
    cells = sample_shape if is_vector(sample_shape) else (*(min(_BLOCKS, side) for side in sample_shape[:2]), 3)
    drawn = ndtri(uniforms(sample_ids, seed, (count, prod(cells)), purpose).clip(1e-12))
    whole = drawn if is_vector(sample_shape) else _enlarged(drawn.reshape(*drawn.shape[:2], *cells), sample_shape[:2])
    changes: Floats = (whole / np.linalg.norm(whole, axis=2, keepdims=True)).astype(np.float32)
    return changes


def _enlarged(grids: NDArray[np.float64], size: tuple[int, ...]) -> Floats:
    """Grids [B, N, h, w, 3] as images of (H, W) whose squares are of one colour each, float32 [B, N, H * W * 3]."""
    rows, columns = (np.arange(side) * cells // side for side, cells in zip(size, grids.shape[2:4], strict=True))
    images: Floats = grids[:, :, rows[:, None], columns].astype(np.float32).reshape(*grids.shape[:2], -1)
    return images
