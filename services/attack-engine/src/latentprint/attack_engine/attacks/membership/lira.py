"""LiRA: the likelihood-ratio attack with reference models (Carlini et al., S&P 2022, Algorithm 1)."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from latentprint.attack_engine.asking.signal import Values
from latentprint.attack_engine.attacks.posterior_reading import PosteriorReading
from latentprint.attack_engine.attacks.reading import one_draw
from latentprint.attack_engine.evidence.needs import Needs, References
from latentprint.attack_engine.evidence.reference_moments import Flags, Floats, Moments, moments, require_references
from latentprint.attack_engine.evidence.types import Evidence

Variance = Literal["per-sample", "global"]


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


def lira_online(
    phi: NDArray[np.floating],
    references: NDArray[np.floating],
    inside: Flags,
    *,
    variance: Variance = "per-sample",
) -> Floats:
    """Log-likelihood ratio of a Gaussian of the references trained on the sample (IN) and of one of the others (OUT).

    Args:
        phi: scaled logits of the model under attack, [S, A]; A augmented queries.
        references: of each reference model, [K, S, A].
        inside: bool [K, S], whether the reference was trained on the sample.
        variance: "per-sample", or "global": one for all IN and one for all OUT models, about each sample's own mean,
            which needs fewer references.

    Returns:
        float64 [S], mean over the queries; higher = member, 0 = both as likely.

    Raises:
        DataError: a sample has fewer than 2 IN or OUT references, or none with "global".
    """
    members, others = _fitted(references, inside, "IN", variance), _fitted(references, ~inside, "OUT", variance)
    ratio: Floats = (_log_density(phi, *members) - _log_density(phi, *others)).mean(axis=1)
    return ratio


def lira_offline(
    phi: NDArray[np.floating],
    references: NDArray[np.floating],
    inside: Flags,
    *,
    variance: Variance = "per-sample",
) -> Floats:
    """-ln P[Z > phi], Z Gaussian over the references that were not trained on the sample (OUT).

    It ranks as ln P[Z <= phi] does, for one query, and keeps members far above all references apart, where that is 0.

    Args:
        phi: scaled logits of the model under attack, [S, A]; A augmented queries.
        references: of each reference model, [K, S, A].
        inside: bool [K, S], whether the reference was trained on the sample; IN references are not used.
        variance: "per-sample", or "global": one for all, about each sample's own mean.

    Returns:
        float64 [S], mean over the queries, non-negative; higher = member.

    Raises:
        DataError: a sample has fewer than 2 OUT references, or none with "global".
    """
    mean, spread = _fitted(references, ~inside, "OUT", variance)
    tail: Floats = -log_ndtr(-(phi.astype(np.float64) - mean) / np.sqrt(spread)).mean(axis=1)
    return tail


def _fitted(references: NDArray[np.floating], chosen: Flags, kind: str, variance: Variance) -> tuple[Floats, Floats]:
    """Mean and variance of each sample, [S, A] or what broadcasts to it."""
    require_references(chosen, 1 if variance == "global" else 2, kind)
    fitted: Moments = moments(references, chosen)
    return fitted.mean, fitted.pooled_variance if variance == "global" else fitted.variance


def _log_density(phi: NDArray[np.floating], mean: Floats, variance: Floats) -> Floats:
    density: Floats = -0.5 * (np.square(phi - mean) / variance + np.log(2.0 * np.pi * variance))
    return density
