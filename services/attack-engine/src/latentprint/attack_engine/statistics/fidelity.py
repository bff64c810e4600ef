"""How alike two encoders' embeddings of the same images are, without any downstream task.

Source: "Dataset Inference for Self-Supervised Models" (NeurIPS 2022), Sec. 5: cosine, L2 and mutual-information scores.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from latentprint.attack_engine.statistics.bootstrap import percentile_interval
from latentprint.attack_engine.statistics.estimates import Estimate
from latentprint.core.errors import UsageError

FEWEST_IMAGES = 20
NEIGHBOURS = 3
DIMENSIONS = 4
_SHUFFLES = 5
_TIE = 1e-6  # distances that differ by no more than this, relatively, are equal but for rounding
_METHOD = "bootstrap over images"
_SMALLEST = 1e-12

Embeddings = NDArray[np.float64]


@dataclass(frozen=True)
class Fidelity:
    """Scores of a suspect's embeddings against a victim's; each is 1 for the victim itself.

    Attributes:
        cosine: mean cosine of standardised embeddings; about 0 for one that knows nothing of the victim.
        l2: 1 - mean distance / 2 of the same on the unit sphere; about 0.29 for one that knows nothing of the victim.
        mutual_information: 0 for the suspect's embeddings of other images.
        images: that they are taken over.
    """

    cosine: Estimate
    l2: Estimate
    mutual_information: Estimate
    images: int


def fidelity(
    victim: ArrayLike, suspect: ArrayLike, *, rng: np.random.Generator, resamples: int = 2000, level: float = 0.95
) -> Fidelity:
    """Cosine, L2 and mutual-information scores with percentile intervals of the bootstrap over images.

    Cosine and L2 compare coordinate by coordinate: they see a permutation or another basis as another encoder. Mutual
    information does not. What is resampled are the images' own terms, as standardised and with neighbours as found
    once: resampled images would be their own nearest neighbours, which no neighbour estimate survives.

    Args:
        victim: its embeddings of the images, [N, D].
        suspect: its embeddings of the same images, [N, D].
        rng: of the shuffled pairs and the resamples.
        resamples: of the bootstrap.
        level: of the intervals.

    Raises:
        UsageError: other shapes, or fewer than `FEWEST_IMAGES` images.
    """
    theirs, own = (np.asarray(rows, dtype=np.float64) for rows in (victim, suspect))
    if theirs.shape != own.shape or theirs.ndim != 2 or len(theirs) < FEWEST_IMAGES:
        raise UsageError(
            f"Fidelity compares embeddings of the same images, at least {FEWEST_IMAGES}, and of one width; "
            f"these are {list(theirs.shape)} and {list(own.shape)}."
        )
    one, other = standardised(theirs), standardised(own)
    terms = (
        (one * other).sum(axis=1),
        1 - np.linalg.norm(one - other, axis=1) / 2,
        _information_terms(theirs, own, rng),
    )
    drawn = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), size=resamples)  # [R, N]
    cosine, l2, information = (
        Estimate(float(term.mean()), percentile_interval(drawn @ term / len(term), level, _METHOD)) for term in terms
    )
    return Fidelity(cosine, l2, information, len(own))


def standardised(embeddings: Embeddings) -> Embeddings:
    """Embeddings [N, D] with every coordinate of mean 0 and deviation 1 over the images, each then of length 1."""
    centred = embeddings - embeddings.mean(axis=0)
    scaled = centred / np.maximum(centred.std(axis=0), _SMALLEST)
    return np.asarray(scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), _SMALLEST))


def principal_components(embeddings: Embeddings, dimensions: int = DIMENSIONS) -> Embeddings:
    """The first principal components of embeddings [N, D], each of deviation 1: [N, at most `dimensions`]."""
    left, values, _ = np.linalg.svd(embeddings - embeddings.mean(axis=0), full_matrices=False)
    kept = values[:dimensions] > values[0] * 1e-6
    return np.asarray(left[:, :dimensions][:, kept] * np.sqrt(len(embeddings)))


def information_terms(one: Embeddings, other: Embeddings, neighbours: int = NEIGHBOURS) -> NDArray[np.float64]:
    """Each point's term, nats [N], of the mutual information of [N, D] and [N, E], which is their mean.

    Source: Kraskov, Stögbauer and Grassberger, Phys. Rev. E 69 (2004), Eq. 8, in the maximum norm.
    """
    from scipy.spatial import KDTree
    from scipy.special import digamma

    joint = np.concatenate([one, other], axis=1)
    reach = KDTree(joint).query(joint, k=neighbours + 1, p=np.inf)[0][:, -1]
    nearer = [
        KDTree(part).query_ball_point(part, (1 - _TIE) * reach, p=np.inf, return_length=True) for part in (one, other)
    ]  # the point itself among them, so that each is the n + 1 of the source
    found = digamma(neighbours) + digamma(len(one)) - sum(digamma(np.maximum(count, 1)) for count in nearer)
    return np.asarray(found)


def _information_terms(victim: Embeddings, suspect: Embeddings, rng: np.random.Generator) -> NDArray[np.float64]:
    """Terms [N] of the mutual-information score, between its bounds: 0 for shuffled pairs, 1 for the victim itself.

    A few principal components, since the distances between a few hundred points in hundreds of dimensions are all
    alike: there an estimate by neighbours tells nothing, whatever the encoders. Shuffled pairs, which share nothing,
    take away the estimate's own bias; of the victim with itself it gives psi(N) - psi(k), its largest value.
    """
    one, other = principal_components(victim), principal_components(suspect)
    if not one.shape[1] or not other.shape[1]:
        return np.zeros(len(one))
    shuffled = [information_terms(one, rng.permutation(other)).mean() for _ in range(_SHUFFLES)]
    lowest, highest = np.mean(shuffled), information_terms(one, one).mean()
    return np.asarray((information_terms(one, other) - lowest) / (highest - lowest))
