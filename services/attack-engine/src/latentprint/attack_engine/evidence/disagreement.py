"""How a student's answers differ from its teacher's, sample by sample, where there are no posteriors to compare."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.evidence.energies import (
    gaussian_energy,
    gaussian_references,
    log_responses,
    uniform_energy,
)

Floats = NDArray[np.float64]
EMBEDDING_METRICS = ("cosine", "l2", "norm", "overlap")
FEATURE_MAP_METRICS = (*EMBEDDING_METRICS, "uniform-energy", "gaussian-energy")
_NEIGHBOURS = 10


@dataclass(frozen=True)
class Disagreement:
    """Metrics of the student's disagreement with its teacher over T snapshots.

    "cosine" between the two answers; "l2", their distance over the teacher's norm; "norm", the logarithm of the
    ratio of their norms; "overlap", the share of the sample's nearest neighbours in a bank that both agree on; and of
    feature maps the PartCrop energies (CCS 2024, Eq. 3-5) of the teacher's pooled vector over the student's map. A
    feature map is compared token by token, cosine and distance averaged, and pooled for the rest.

    Attributes:
        teacher_bank: float64 [Q, D], the teacher's pooled answers to the bank's samples.
        student_bank: float64 [T, Q, D], the snapshots' pooled answers to the same.
        maps: whether answers are feature maps.
    """

    teacher_bank: Floats
    student_bank: Floats
    maps: bool

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the M metrics."""
        return FEATURE_MAP_METRICS if self.maps else EMBEDDING_METRICS

    def __call__(self, student: Floats, teacher: NDArray[np.float32]) -> Floats:
        """Metrics of b samples: student [T, b, ..., D] and teacher [b, ..., D] to [T, b, M]."""
        own = teacher.astype(np.float64)
        pooled, own_pooled = pool(student, maps=self.maps), pool(own, maps=self.maps)
        values = [self._cosine(student, own), self._distance(student, own), _log_ratio(pooled, own_pooled)]
        values.append(self._overlap(pooled, own_pooled))
        if self.maps:
            values += _energies(student, own_pooled)
        return np.stack(values, axis=-1)

    def _cosine(self, student: Floats, own: Floats) -> Floats:
        cosine: Floats = (_unit(student) * _unit(own)).sum(axis=-1)
        return cosine.mean(axis=-1) if self.maps else cosine

    def _distance(self, student: Floats, own: Floats) -> Floats:
        distance: Floats = np.linalg.norm(student - own, axis=-1) / _norm(own)
        return distance.mean(axis=-1) if self.maps else distance

    def _overlap(self, pooled: Floats, own: Floats) -> Floats:
        """Share of common neighbours [T, b]."""
        wanted = min(_NEIGHBOURS, len(self.teacher_bank))
        expected = _nearest(own, self.teacher_bank, wanted)  # [b, k]
        shares = []
        for vectors, bank in zip(pooled, self.student_bank, strict=True):
            found = _nearest(vectors, bank, wanted)
            shares.append((found[:, :, None] == expected[:, None, :]).any(axis=2).mean(axis=1))
        return np.stack(shares)


def pool(answers: Floats, *, maps: bool) -> Floats:
    """One vector a sample: answers [..., D] themselves, or the mean token of feature maps [..., N, D]."""
    return answers.mean(axis=-2) if maps else answers


def _energies(student: Floats, own: Floats) -> list[Floats]:
    """Uniform and Gaussian energy [T, b] of the teacher's vector [b, D] over the student's maps [T, b, N, D]."""
    references = gaussian_references(1, student.shape[2], np.random.default_rng(0))
    responses = [log_responses(own[:, None], maps, cosine=True) for maps in student]  # [b, 1, N] each
    uniform = np.stack([uniform_energy(response)[:, 0] for response in responses])
    gaussian = np.stack([gaussian_energy(response, references)[:, 0] for response in responses])
    return [uniform, gaussian]


def _nearest(vectors: Floats, bank: Floats, count: int) -> NDArray[np.int64]:
    """Rows of `bank` most alike to each of `vectors` by cosine, [b, count]; a sample of the bank finds itself."""
    similarity = _unit(vectors) @ _unit(bank).T
    return np.argsort(-similarity, axis=1, kind="stable")[:, :count]


def _log_ratio(student: Floats, own: Floats) -> Floats:
    ratio: Floats = np.log(_norm(student)) - np.log(_norm(own))
    return ratio


def _norm(vectors: Floats) -> Floats:
    norm: Floats = np.maximum(np.linalg.norm(vectors, axis=-1), 1e-12)
    return norm


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / _norm(vectors)[..., None]
    return unit
