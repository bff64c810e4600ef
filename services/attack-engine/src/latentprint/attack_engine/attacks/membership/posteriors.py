"""Readings of posteriors: of the model's own answers, of its distilled snapshots, and beside reference models."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.attacks.membership.bavaria import bavaria_offline, bavaria_online
from latentprint.attack_engine.attacks.membership.enhanced_mia import loss_quantile
from latentprint.attack_engine.attacks.membership.lira import lira_offline, lira_online
from latentprint.attack_engine.attacks.membership.rmia import in_average_slope, rmia
from latentprint.attack_engine.attacks.reading import Reading, Rows, one_draw
from latentprint.attack_engine.evidence.needs import Distillation, Needs, References
from latentprint.attack_engine.evidence.posterior_metrics import (
    METRICS,
    OF_LABEL,
    loss_of_phi,
    posterior_metrics,
    scaled_logit,
)
from latentprint.attack_engine.evidence.sequence_figures import sequence_figures
from latentprint.attack_engine.evidence.sequences import chosen_metrics, first_snapshots, shuffled_steps
from latentprint.attack_engine.evidence.types import Evidence, ReferenceScores
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.signals.signal import Signal, Values
from latentprint.attack_engine.statistics.figures import Figure
from latentprint.core.errors import UsageError, unknown_name
from latentprint.core.outputs import POSTERIOR

_MOST_MEMBER_LIKE = {"loss": -1.0, "max": 1.0, "sd": 1.0, "entropy": -1.0, "m-entropy": -1.0}


class PosteriorReading(Reading):
    """What all readings of posteriors share: one query a sample, fitted on a shadow model where there is one."""

    fitted_on_shadow = True
    answer = PlainAnswer(POSTERIOR)

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`."""
        return (self.answer,)

    @property
    def reads_labels(self) -> bool:
        """See `Reading.reads_labels`: most compare with the probability of the sample's own class."""
        return True

    def posterior(self, evidence: Evidence) -> Values:
        """The model's own answers, float32 [S, C]."""
        return evidence.values[self.answer.name]

    def compared(self, evidence: Evidence) -> tuple[NDArray[np.float64], ReferenceScores]:
        """Scaled logits [S] of the model, and what the references give."""
        if evidence.references is None:
            raise ValueError("a comparison without references")
        return scaled_logit(self.posterior(evidence), evidence.label), evidence.references


@dataclass(frozen=True)
class SortedPosterior(PosteriorReading):
    """The posterior, largest first (Salem et al., NDSS 2019, adversary 1).

    Attributes:
        largest: how many of its entries; None for all.
    """

    name = "st"
    largest: int | None = None

    @property
    def reads_labels(self) -> bool:
        """See `Reading.reads_labels`: the posterior is sorted, whatever the class."""
        return False

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`."""
        ranked = -np.sort(-self.posterior(evidence), axis=1)
        return one_draw(ranked[:, : self.largest])


@dataclass(frozen=True)
class OneMetric(PosteriorReading):
    """One metric, larger for members, beside the class that its threshold belongs to (Song and Mittal, 2021).

    Attributes:
        metric: one of "loss", "max", "sd", "entropy", "m-entropy".
    """

    name = "mba"
    metric: str = "m-entropy"

    def __post_init__(self) -> None:
        if self.metric not in METRICS:
            raise unknown_name("metric", self.metric, METRICS)

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: (metric, class)."""
        values = posterior_metrics(self.posterior(evidence), evidence.label)[:, METRICS.index(self.metric)]
        return one_draw(np.stack([_MOST_MEMBER_LIKE[self.metric] * values, evidence.label], axis=1))


@dataclass(frozen=True)
class MetricSequence(PosteriorReading):
    """Metrics of the distilled snapshots in order and, last, of the model itself (SeqMIA, Sec. 3.3).

    Attributes:
        metrics: which, and in which order.
        snapshots: the first so many; None for all.
        shuffled: in one random order, the same for all samples: what a set attack is left with.
        distillation: how the model is imitated.
        seed: of the random order.
    """

    name = "seqmia"
    metrics: tuple[str, ...] = METRICS
    snapshots: int | None = None
    shuffled: bool = False
    distillation: Distillation = field(default_factory=Distillation)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.distillation.output != POSTERIOR:
            raise UsageError(f"{self.name}: it distils posteriors; for other outputs there is seqmia-encoder.")
        chosen_metrics(np.zeros((1, 1, len(METRICS))), METRICS, self.metrics)

    @property
    def channels(self) -> int:
        """Metrics a step."""
        return len(self.metrics)

    @property
    def reads_labels(self) -> bool:
        """See `Reading.reads_labels`: two of the metrics are of the sample's own class."""
        return bool(OF_LABEL.intersection(self.metrics))

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: step by step, [S, 1, T * M]."""
        if evidence.sequence is None:
            raise ValueError("a reading of sequences without a sequence")
        sequence = chosen_metrics(evidence.sequence, evidence.metrics, self.metrics)
        if self.snapshots is not None:
            sequence = first_snapshots(sequence, self.snapshots)
        if self.shuffled:
            sequence = shuffled_steps(sequence, self.seed)
        return one_draw(sequence.reshape(len(sequence), -1))

    def figures(self, evidence: Evidence, shown: Rows, member: Rows) -> tuple[Figure, ...]:
        """See `Reading.figures`: of all metrics, in their order."""
        if evidence.sequence is None:
            return ()
        return sequence_figures(evidence.sequence[shown], evidence.metrics, member[shown], ends_with_model=True)


@dataclass(frozen=True)
class Lira(PosteriorReading):
    """LiRA (Carlini et al., S&P 2022): the scaled logit against those of reference models.

    Attributes:
        references: the reference models; online where they may see the audited samples.
        variance: "per-sample" or "global".
    """

    name = "lira"
    references: References = field(default_factory=References)
    variance: Literal["per-sample", "global"] = "per-sample"

    @property
    def needs(self) -> Needs:
        """See `Reading.needs`: a variance takes two, or with "global" two of some sample."""
        return Needs(2 if self.references.online else 0, 2, every=self.variance == "per-sample")

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: the log-likelihood ratio, or offline the one-sided tail."""
        phi, said = self.compared(evidence)
        attack = lira_online if self.references.online else lira_offline
        return one_draw(attack(phi[:, None], said.phi[..., None], said.inside, variance=self.variance)[:, None])


@dataclass(frozen=True)
class Bavaria(PosteriorReading):
    """BaVarIA: LiRA with variances under a prior that is estimated from all samples.

    Attributes:
        references: as for LiRA.
        predictive: "t", Student's t, or "n", a Gaussian with the expected variance.
    """

    name = "bavaria"
    references: References = field(default_factory=References)
    predictive: Literal["t", "n"] = "t"

    @property
    def needs(self) -> Needs:
        """See `Reading.needs`: the prior is estimated from samples that have two."""
        return Needs(2 if self.references.online else 0, 2, every=False)

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: the log-likelihood ratio, or offline the one-sided tail."""
        phi, said = self.compared(evidence)
        attack = bavaria_online if self.references.online else bavaria_offline
        return one_draw(attack(phi[:, None], said.phi[..., None], said.inside, predictive=self.predictive)[:, None])


@dataclass(frozen=True)
class EnhancedMia(PosteriorReading):
    """EnhancedMIA (Ye et al., CCS 2022): the loss in the sample's own distribution of losses.

    Attributes:
        references: "trained" ones for attack R, "distilled" ones for attack D.
        distribution: "gaussian", "empirical", or their "mean".
    """

    name = "enhancedmia"
    references: References = field(default_factory=References)
    distribution: Literal["gaussian", "empirical", "mean"] = "mean"

    @property
    def needs(self) -> Needs:
        """See `Reading.needs`."""
        return Needs(0, 1 if self.distribution == "empirical" else 2)

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: how far down in its own distribution the loss lies."""
        phi, said = self.compared(evidence)
        losses = loss_of_phi(said.phi)
        quantile = loss_quantile(loss_of_phi(phi), losses, ~said.inside, distribution=self.distribution)
        return one_draw(quantile[:, None])


@dataclass(frozen=True)
class Rmia(PosteriorReading):
    """RMIA (Zarifzadeh et al., ICML 2024): the share of a population that the sample beats in likelihood ratio.

    Attributes:
        references: offline, or online where they may see the audited samples.
        a: slope of the offline approximation, in [0, 1]; online it is what the audited samples' references show.
        gamma: what a ratio must reach.
    """

    name = "rmia"
    population = True
    references: References = field(default_factory=References)
    a: float = 0.3
    gamma: float = 2.0

    @property
    def needs(self) -> Needs:
        """See `Reading.needs`."""
        return Needs(1 if self.references.online else 0, 1)

    def __post_init__(self) -> None:
        if self.references.kind == "distilled":
            raise UsageError(
                f"{self.name}: its population taught the distilled references; leave their kind at trained."
            )

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: the share, in [0, 1]."""
        phi, said = self.compared(evidence)
        others = evidence.population
        if others is None:
            raise ValueError("rmia without a population")
        share = rmia(
            phi,
            said.phi,
            said.inside,
            scaled_logit(others.posterior, others.label),
            others.references.phi,
            others.references.inside,
            offline=not self.references.online,
            a=in_average_slope(said.phi, said.inside) if self.references.online else self.a,
            gamma=self.gamma,
        )
        return one_draw(share[:, None])
