"""Metrics of a posterior: what SeqMIA's sequences consist of, and the scaled logit that reference attacks compare."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]

METRICS = ("loss", "max", "sd", "entropy", "m-entropy")
OF_LABEL = frozenset({"loss", "m-entropy"})  # those that depend on the sample's class
_TINY = 1e-30


def posterior_metrics(posterior: NDArray[np.floating], label: NDArray[np.integer]) -> Floats:
    """The five metrics of SeqMIA (CCS 2024, Sec. 2.2), in the order of `METRICS`; logarithms are clipped at 1e-30.

    Cross-entropy loss, largest probability, population standard deviation over the classes, entropy, and modified
    entropy -(1 - p_y) ln p_y - sum over i != y of p_i ln(1 - p_i) (Song and Mittal, USENIX Security 2021).

    Args:
        posterior: probabilities [..., C].
        label: classes [...], or of a shape that broadcasts to it.

    Returns:
        float64 [..., 5]; finite for any probabilities, 0 and 1 included. Entropies and loss in nats.
    """
    p, true = posterior.astype(np.float64), _of_label(posterior, label)
    p_true = p[true].reshape(p.shape[:-1])
    entropy = -(p * _log(p)).sum(axis=-1)
    other = np.where(true, 0.0, p * _log(1.0 - p)).sum(axis=-1)
    modified = -(1.0 - p_true) * _log(p_true) - other
    return np.stack([-_log(p_true), p.max(axis=-1), p.std(axis=-1), entropy, modified], axis=-1)


def scaled_logit(posterior: NDArray[np.floating], label: NDArray[np.integer]) -> Floats:
    """The scaled logit ln p_y - ln(sum of the others), each logarithm clipped at 1e-30 (LiRA, S&P 2022, Sec. V-A).

    The other probabilities are summed, never 1 - p_y, so that one near 1 keeps its digits.

    Args:
        posterior: probabilities [..., C].
        label: classes [...], or of a shape that broadcasts to it.

    Returns:
        float64 [...], within about 69.1 of 0.
    """
    p, true = posterior.astype(np.float64), _of_label(posterior, label)
    difference: Floats = _log(p[true].reshape(p.shape[:-1])) - _log(np.where(true, 0.0, p).sum(axis=-1))
    return difference


def loss_of_phi(phi: NDArray[np.floating]) -> Floats:
    """-ln p_y of scaled logits [...], for probabilities that sum to 1."""
    loss: Floats = np.logaddexp(0.0, -phi.astype(np.float64))
    return loss


def probability_of_phi(phi: NDArray[np.floating]) -> Floats:
    """p_y of scaled logits [...], for probabilities that sum to 1."""
    probability: Floats = expit(phi.astype(np.float64))
    return probability


def _of_label(posterior: NDArray[np.floating], label: NDArray[np.integer]) -> NDArray[np.bool_]:
    """One true entry in each row of [..., C]."""
    classes = posterior.shape[-1]
    if label.size and not 0 <= label.min() <= label.max() < classes:
        raise ValueError(f"labels from {label.min()} to {label.max()} for posteriors of {classes} classes")
    return np.broadcast_to(np.asarray(label)[..., None] == np.arange(classes), posterior.shape)


def _log(probability: Floats) -> Floats:
    logarithm: Floats = np.log(np.maximum(probability, _TINY))
    return logarithm
