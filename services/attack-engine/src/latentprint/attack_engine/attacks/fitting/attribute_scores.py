"""An attribute inferred from an encoder's answers, from the images alone, and from nothing."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from latentprint.attack_engine.attacks.attack import Attack
from latentprint.attack_engine.attacks.fitting.audit_scores import CONSTANT, AuditScores, ControlEvidence
from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.attacks.reading import same_within_rounding
from latentprint.attack_engine.evidence.controls import MAJORITY, PIXELS, UNTRAINED
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.inference.base import Features
from latentprint.attack_engine.inference.softmax_mlp import Classes, ClassInference
from latentprint.core.datasets import Dataset, Ids
from latentprint.core.datasets.attributes import labelled
from latentprint.core.errors import DataError, UsageError
from latentprint.core.samples import Samples, is_vector
from latentprint.core.splits import KNOWN, Split

_ATTRIBUTES = 5  # what a seed is used for tells its streams apart; 1 is the fits of membership
_THUMBNAIL = 32  # pixels a side at most, which the baseline reads of an image
_TOGETHER = 256  # images in memory at once
_FEWEST = 10


def infer_attribute(
    attack: Attack, split: Split, dataset: Dataset, victim: Evidence, beside: ControlEvidence, seed: int
) -> AuditScores:
    """Infer an attribute of the evaluated samples, after a fit to the known ones, and so with every baseline.

    A score is 1 where the guess is right and 0 where it is not; `Scored.member` stays who was trained on.

    Args:
        attack: whose reading names the attribute.
        split: the samples; evidence is in its order.
        dataset: theirs, which tells the attribute and shows the images.
        victim: of the endpoint under audit.
        beside: of the encoders beside it; of these the untrained twin is a baseline.
        seed: of every fit.

    Raises:
        DataError: see `require_attribute`.
    """
    target = require_attribute(attack, dataset, split)
    streams = np.random.default_rng([seed, _ATTRIBUTES]).spawn(3)
    known = split.role == KNOWN

    def score(features: Features, rng: np.random.Generator) -> Scored:
        guess = _inference(attack).fit_classes(features[known], target[known], rng).guess(features[~known])
        return _scored(split, guess == target[~known])

    read = attack.features(victim)[:, 0]
    scored = score(read, streams[0])
    controls = {
        MAJORITY: _scored(split, target[~known] == np.bincount(target[known]).argmax()),
        PIXELS: score(_pixels(dataset, split.sample_id), streams[1]),
    }
    if beside.twin is not None:
        controls[UNTRAINED] = score(attack.features(beside.twin)[:, 0], streams[2])
    return AuditScores(scored, None, controls, unreadable=CONSTANT if same_within_rounding(read) else "")


def require_attribute(attack: Attack, dataset: Dataset, split: Split) -> Classes:
    """The attribute of the split's samples, int64 [S].

    Raises:
        UsageError: an inference model that tells no more than two classes, or an attribute that the data set lacks.
        DataError: too few known or evaluated samples, or an attribute that is the same for all of one of them, or for
            all members or all non-members.
    """
    _inference(attack)
    name = attack.reading.inferred
    target: Classes = labelled(dataset, name).values[split.sample_id]
    for role, word in ((split.role == KNOWN, "known"), (split.role != KNOWN, "evaluated")):
        if np.count_nonzero(role) < _FEWEST:
            raise DataError(
                f"The split has {np.count_nonzero(role)} {word} samples; inferring {name!r} needs at least {_FEWEST} "
                "known and as many evaluated ones. Add samples."
            )
        if np.unique(target[role]).size < 2:
            raise DataError(
                f"The attribute {name!r} is the same for all {np.count_nonzero(role)} {word} samples, so that nothing "
                "can be inferred: add samples that differ in it, or name another attribute."
            )
    for side, word in ((split.member, "members"), (~split.member, "non-members")):
        if side.any() and np.unique(target[side]).size < 2:
            raise DataError(
                f"The attribute {name!r} is the same for all {np.count_nonzero(side)} {word}, so that whatever tells "
                "members from non-members would pass for it: add samples that differ in it, or name another attribute."
            )
    return target


def _inference(attack: Attack) -> ClassInference:
    if not isinstance(attack.inference, ClassInference):
        raise UsageError(
            f"{attack.name} infers one of several values, and its inference model tells members from non-members only: "
            "leave --inference out, or name softmax-mlp."
        )
    return attack.inference


def _scored(split: Split, right: NDArray[np.bool_]) -> Scored:
    evaluated = split.role != KNOWN
    return Scored(split.sample_id[evaluated], split.member[evaluated], right.astype(np.float64), 0.5)


def _pixels(dataset: Dataset, ids: Ids) -> Features:
    """The samples themselves, float32 [S, F]: vectors, or images of at most 32 pixels a side. A part at a time."""
    starts = range(0, len(ids), _TOGETHER)
    return np.concatenate([_small(dataset.images(ids[start : start + _TOGETHER])) for start in starts])


def _small(samples: Samples) -> Features:
    if is_vector(samples.shape[1:]):
        return samples.astype(np.float32)
    height, width = (min(side, _THUMBNAIL) for side in samples.shape[1:3])
    small = [np.asarray(Image.fromarray(one).resize((width, height), Image.Resampling.BOX)) for one in samples]
    return np.stack(small).reshape(len(samples), -1).astype(np.float32)
