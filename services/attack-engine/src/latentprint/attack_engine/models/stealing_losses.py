"""What a stolen encoder is trained with: how far its embeddings are from the victim's, in one number.

Source: "Dataset Inference for Self-Supervised Models" (NeurIPS 2022), Sec. 4, and "On the Difficulty of Defending
Self-Supervised Learning against Model Extraction" (ICML 2022), which steal with these losses. Each function takes the
student's embeddings of a batch, float32 [B, D], the victim's of the same images, [B, D], and their classes, int64 [B],
of which only `supcon` reads them; it gives the mean over the batch, a scalar.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss, normalize

from latentprint.core.registry import Registry

TEMPERATURE = 0.07
_OFF_DIAGONAL = 0.005  # weight of Barlow Twins' redundancy term (Zbontar et al., ICML 2021)
_SMALLEST = 1e-12


@dataclass(frozen=True)
class StealingLoss:
    """A loss, and what it wants beside the victim's embeddings.

    Attributes:
        function: (student [B, D], victim [B, D], classes [B]) to a scalar.
        contrasts: whether it tells an image from the others of its batch; the student then sees augmented views, so
            that it cannot tell them by their pixels alone.
        reads_classes: whether the images need classes.
    """

    function: Callable[[Tensor, Tensor, Tensor], Tensor]
    contrasts: bool = False
    reads_classes: bool = False


def squared_error(student: Tensor, victim: Tensor, _classes: Tensor) -> Tensor:
    """Mean squared error, in units of the victim's mean square, so that one learning rate suits any victim."""
    return mse_loss(student, victim) / victim.square().mean().clamp_min(_SMALLEST)


def info_nce(student: Tensor, victim: Tensor, _classes: Tensor) -> Tensor:
    """InfoNCE (van den Oord et al., 2018): which of the batch's victim embeddings is this image's, by the cosine."""
    cosines = normalize(student, dim=1) @ normalize(victim, dim=1).T
    return cross_entropy(cosines / TEMPERATURE, torch.arange(len(student), device=student.device))


def soft_nearest_neighbours(student: Tensor, victim: Tensor, _classes: Tensor) -> Tensor:
    """Soft nearest neighbours (Frosst et al., ICML 2019, Eq. 1) over both models' embeddings, an image as its class.

    Squared distances are in units of the victim's own mean one, whatever its scale; unlike InfoNCE, lengths count.
    """
    scale = _squared_distances(victim).mean().clamp_min(_SMALLEST)
    distances = _squared_distances(torch.cat([student, victim])) / scale  # [2B, 2B]
    images = torch.arange(len(student), device=student.device).repeat(2)
    return _neighbours(-distances / TEMPERATURE, images, inside=True)


def supervised_contrast(student: Tensor, victim: Tensor, classes: Tensor) -> Tensor:
    """SupCon (Khosla et al., NeurIPS 2020, Eq. 2): both models' embeddings of one class are each other's positives."""
    embeddings = normalize(torch.cat([student, victim]), dim=1)
    return _neighbours(embeddings @ embeddings.T / TEMPERATURE, classes.repeat(2), inside=False)


def barlow(student: Tensor, victim: Tensor, _classes: Tensor) -> Tensor:
    """Barlow Twins (Zbontar et al., ICML 2021, Eq. 1): the cross-correlation of both models is to be the identity."""
    one, other = (_standardised(embeddings) for embeddings in (student, victim))
    correlation = one.T @ other / len(student)  # [D, D]
    diagonal = correlation.diagonal()
    off = correlation.square().sum() - diagonal.square().sum()
    return (1 - diagonal).square().sum() + _OFF_DIAGONAL * off


def wasserstein(student: Tensor, victim: Tensor, _classes: Tensor) -> Tensor:
    """First Wasserstein distance of two embeddings as distributions over their coordinates, in order, a unit apart.

    The distributions are softmaxes of the embeddings in units of the victim's deviation. The difference of two means
    that goes by this name in public code is the same number for every student, and steals nothing.
    """
    scale = victim.std().clamp_min(_SMALLEST)
    one, other = ((embeddings / scale).softmax(dim=1).cumsum(dim=1) for embeddings in (student, victim))
    return (one - other).abs().sum(dim=1).mean()


def _neighbours(similarity: Tensor, group: Tensor, *, inside: bool) -> Tensor:
    """Minus the mean log share that each point's own group has among its neighbours by exp of `similarity` [N, N].

    Args:
        similarity: of every pair of points.
        group: int64 [N]; every group has two points or more.
        inside: the group's points are added up inside the logarithm; else the logarithms are averaged.
    """
    itself = torch.eye(len(group), dtype=torch.bool, device=group.device)
    share = similarity.masked_fill(itself, -torch.inf).log_softmax(dim=1)
    positive = (group[:, None] == group) & ~itself
    if inside:
        return -share.masked_fill(~positive, -torch.inf).logsumexp(dim=1).mean()
    return -(share.masked_fill(~positive, 0.0).sum(dim=1) / positive.sum(dim=1)).mean()


def _squared_distances(points: Tensor) -> Tensor:
    """Between all pairs of [N, D]: [N, N]."""
    square = points.square().sum(dim=1)
    return (square[:, None] + square - 2 * points @ points.T).clamp_min(0)


def _standardised(embeddings: Tensor) -> Tensor:
    """Each coordinate with mean 0 and deviation 1 over the batch; one that does not vary is 0."""
    centred = embeddings - embeddings.mean(dim=0)
    return centred / centred.square().mean(dim=0).add(_SMALLEST).sqrt()


STEALING_LOSSES: Registry[StealingLoss] = Registry("stealing loss")
_SOURCE = "NeurIPS 2022"
STEALING_LOSSES.add("mse", StealingLoss(squared_error), summary="squared error of the embedding", source=_SOURCE)
STEALING_LOSSES.add(
    "infonce",
    StealingLoss(info_nce, contrasts=True),
    summary="which of the batch's embeddings is this image's",
    source=_SOURCE,
)
STEALING_LOSSES.add(
    "softnn",
    StealingLoss(soft_nearest_neighbours, contrasts=True),
    summary="soft nearest neighbours by distance, an image as its class",
    source=_SOURCE,
)
STEALING_LOSSES.add(
    "supcon",
    StealingLoss(supervised_contrast, contrasts=True, reads_classes=True),
    summary="both models' embeddings of a class against those of others",
    source=_SOURCE,
)
STEALING_LOSSES.add(
    "barlow",
    StealingLoss(barlow, contrasts=True),
    summary="cross-correlation of both models' coordinates",
    source=_SOURCE,
)
STEALING_LOSSES.add(
    "wasserstein",
    StealingLoss(wasserstein),
    summary="distance between embeddings as distributions over their coordinates",
    source=_SOURCE,
)
