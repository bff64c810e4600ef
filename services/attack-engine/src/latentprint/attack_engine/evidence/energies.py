"""Response energies of part crops (PartCrop, CCS 2024, Eq. 3-5), in log space and float64."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def log_responses(parts: NDArray[np.floating], feature_map: NDArray[np.floating], *, cosine: bool = False) -> Floats:
    """Log-softmax over locations of each part's similarity to the whole image's feature map.

    Args:
        parts: embeddings of the part crops, [B, M, D].
        feature_map: spatial tokens of the whole images, [B, N, D].
        cosine: cosine similarity in place of the paper's raw dot product.

    Returns:
        float64 [B, M, N]; finite for any finite float32 input.
    """
    queries, locations = parts.astype(np.float64), feature_map.astype(np.float64)
    if cosine:
        queries, locations = _unit(queries), _unit(locations)
    similarity = queries @ locations.transpose(0, 2, 1)  # [B, M, N]
    shifted = similarity - similarity.max(axis=-1, keepdims=True)
    response: Floats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return response


def uniform_energy(log_response: Floats) -> Floats:
    """KL(uniform || response): [B, M, N] log-probabilities to [B, M], non-negative."""
    energy: Floats = -log_response.mean(axis=-1) - np.log(log_response.shape[-1])
    return energy


def gaussian_energy(log_response: Floats, references: Floats) -> Floats:
    """KL(reference || response), one reference per crop index.

    Args:
        log_response: [B, M, N] log-probabilities.
        references: [M, N] from `gaussian_references`.

    Returns:
        [B, M], non-negative.
    """
    entropy = (references * np.log(references)).sum(axis=-1)
    energy: Floats = entropy - np.einsum("mn,bmn->bm", references, log_response)
    return energy


def gaussian_references(crops: int, locations: int, rng: np.random.Generator) -> Floats:
    """Reference distributions g_i, one per crop index: sorted normal draws through their own fitted density.

    Returns:
        float64 [crops, locations], rows sum to 1, every entry positive. With one location every row is 1.
    """
    draws = np.sort(rng.standard_normal((crops, locations)), axis=-1)
    centred = draws - draws.mean(axis=-1, keepdims=True)
    spread = draws.std(axis=-1, keepdims=True)
    exponent = -0.5 * np.square(np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0))
    density = np.exp(exponent)
    references: Floats = density / density.sum(axis=-1, keepdims=True)
    return references


def _unit(vectors: Floats) -> Floats:
    norm = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 0)
    return unit
