"""A model under audit, and what its adversary has: known samples, or samples and models of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from latentprint.attack_engine.evidence.needs import References
from latentprint.attack_engine.models.choice import DrawnSamples
from latentprint.attack_engine.models.job import ORIGINAL, PLACEBO, SHADOW
from latentprint.attack_engine.models.reference_job import SampleSet
from latentprint.attack_engine.models.victim import VictimJob
from latentprint.core.datasets import DatasetSpec, Ids
from latentprint.core.errors import DataError
from latentprint.core.splits import Split

Model = Literal["victim", "twin", "placebo", "shadow"]


@dataclass(frozen=True)
class AuditedModel:
    """A victim: one that is made and served here, or one that somebody else serves; or a shadow model, to be asked.

    Attributes:
        name: what it is called.
        key: SHA-256 (hex), under which its answers are kept.
        samples: its members and non-members.
        seed: of what the adversary trains.
        training: how it is made; None for one that somebody else serves.
        placebo: made as it was, on other samples; None where there are too few, or somebody else's is served.
        original: the victim that it may be stolen from, where it is a suspect that is made here; None for none.
        auxiliary: the adversary's own samples: a shadow model's members and non-members, and distillation samples.
        shadow: the adversary's shadow model; None without samples for it.
        facts: what its scores depend on beside its weights, of one that somebody else serves.
    """

    name: str
    key: str
    samples: DrawnSamples
    seed: int
    training: VictimJob | None = None
    placebo: VictimJob | None = None
    auxiliary: DrawnSamples | None = None
    shadow: VictimJob | None = None
    facts: tuple[str, ...] = ()
    original: VictimJob | None = None

    @property
    def dataset(self) -> DatasetSpec:
        """Where its samples come from."""
        return self.samples.dataset

    @property
    def split(self) -> Split:
        """Its samples."""
        return self.samples.split

    @property
    def auxiliary_digest(self) -> str:
        """Digest of the adversary's samples, which victims of the same weights need not share; "" without any."""
        return "" if self.auxiliary is None else self.auxiliary.split.digest

    @property
    def beside(self) -> Mapping[str, VictimJob]:
        """The trained encoders that stand beside it, by side."""
        both = {PLACEBO: self.placebo, ORIGINAL: self.original}
        return {side: job for side, job in both.items() if job is not None}

    @property
    def trainings(self) -> tuple[VictimJob, ...]:
        """What has to be trained before it can be audited, its shadow model left out."""
        own = () if self.training is None else (self.training,)
        return (*own, *self.beside.values())


def audited(
    training: VictimJob, *, placebo: DrawnSamples | None = None, auxiliary: DrawnSamples | None = None
) -> AuditedModel:
    """A model that is made here, with a placebo and a shadow model that are made alike where there are samples.

    Its scores depend on what is done to its answers, too, which its weights do not say.
    """
    shadowed = auxiliary is not None and len(auxiliary.split.sample_id)
    return AuditedModel(
        training.name,
        training.answers_key,
        training.samples,
        training.seed,
        training,
        None if placebo is None else training.made_alike(PLACEBO, placebo),
        auxiliary,
        training.made_alike(SHADOW, auxiliary) if auxiliary is not None and shadowed else None,
        training.obfuscation,
    )


@dataclass(frozen=True)
class ThreatModel:
    """A victim, and the training that its adversary's own models share.

    Attributes:
        target: the victim; its auxiliary samples are the adversary's.
        shadow: the adversary's shadow model; None where the adversary knows samples of the victim instead.
    """

    target: AuditedModel
    shadow: VictimJob | None

    @property
    def imitated(self) -> VictimJob:
        """Whose architecture and training the adversary's own models have. Raises `DataError` where nobody knows."""
        job = self.shadow or self.target.training
        if job is None:
            raise DataError(f"How {self.target.name!r} was trained is not known: give the adversary a shadow model.")
        return job

    @property
    def knows_training(self) -> bool:
        """Whether the adversary's models are made as the victim is."""
        training = self.target.training
        return self.shadow is None or training is None or self.shadow.is_made_as(training)

    def model(self, which: Model) -> AuditedModel:
        """The model whose answers are meant: the twin's and the placebo's are kept with the victim's."""
        if which == "shadow" and self.shadow is not None:
            return audited(self.shadow)
        return self.target

    @property
    def audited_samples(self) -> SampleSet:
        """The audited samples, and the candidates."""
        return SampleSet(self.target.dataset, self.target.split.asked)

    @property
    def auxiliary_samples(self) -> SampleSet:
        """All that the adversary has: the shadow model's samples, and those it distils with."""
        auxiliary = self.target.auxiliary
        if auxiliary is None:
            raise DataError(f"The split of {self.target.name!r} gives the adversary no samples.")
        ids = np.concatenate([auxiliary.split.sample_id, auxiliary.split.distillation])
        return SampleSet(auxiliary.dataset, ids)

    def pool(self, references: References) -> SampleSet:
        """What each of the trained references has a part of."""
        return self.audited_samples if references.online else self.auxiliary_samples

    @property
    def members(self) -> int:
        """How many samples the victim was trained on, and so each reference."""
        return len(self.target.split.trained_ids)

    def validation(self, pool: SampleSet) -> Ids:
        """What a reference trained on a part of `pool` has beside it, int64; of the same data set."""
        auxiliary = self.target.auxiliary
        if auxiliary is None or auxiliary.dataset != pool.dataset:
            return np.zeros(0, dtype=np.int64)
        return auxiliary.split.validation
