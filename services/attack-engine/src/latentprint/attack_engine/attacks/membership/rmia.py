"""RMIA: robust membership inference with few references (Zarifzadeh, Liu and Shokri, ICML 2024)."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.signal import Values
from latentprint.attack_engine.attacks.posterior_reading import PosteriorReading
from latentprint.attack_engine.attacks.reading import one_draw
from latentprint.attack_engine.evidence.needs import Needs, References
from latentprint.attack_engine.evidence.posterior_metrics import probability_of_phi, scaled_logit
from latentprint.attack_engine.evidence.reference_moments import Flags, Floats, moments, require_references
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.core.errors import UsageError


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


def rmia(
    phi: NDArray[np.floating],
    references: NDArray[np.floating],
    inside: Flags,
    population: NDArray[np.floating],
    population_references: NDArray[np.floating],
    population_inside: Flags,
    *,
    offline: bool,
    a: float = 0.3,
    gamma: float = 2.0,
) -> Floats:
    """The fraction of the population z with likelihood ratio LR(x, z) >= gamma.

    LR(x, z) = (p(x | target) / p(x)) / (p(z | target) / p(z)), p the probability of the true class and p(x)
    the mean of its averages over the references trained on x (IN) and over the others (OUT). Offline, and for a z
    that no reference was trained on, the IN average is taken to be a p_OUT + (1 - a), the paper's approximation.

    A sample's ratio is compared with the sorted ratios of the population, so nothing of size [S, Z] is held.

    Args:
        phi: scaled logits of the model under attack, [S].
        references: of each reference model, [K, S].
        inside: bool [K, S], whether the reference was trained on the sample.
        population: scaled logits of the model under attack on samples known to be no members, [Z].
        population_references: [K, Z].
        population_inside: bool [K, Z].
        offline: use only OUT references.
        a: from 0 (an IN average of 1) to 1 (of the OUT average).
        gamma: at least 1 in the paper.

    Returns:
        float64 [S], fractions; higher = member.

    Raises:
        DataError: a sample has no OUT reference, or online no IN reference, or a population sample no OUT reference.
        ValueError: the population is empty.
    """
    if population.size == 0:
        raise ValueError("RMIA compares with a population; give at least one sample known to be no member")
    if not offline:
        require_references(inside, 1, "IN")
    ratio = _ratio(phi, references, inside, offline=offline, a=a)
    others = _ratio(population, population_references, population_inside, offline=offline, a=a)
    reached = np.searchsorted(np.sort(others), ratio / gamma, side="right")
    return reached / float(others.size)


def in_average_slope(references: NDArray[np.floating], inside: Flags) -> float:
    """The slope a, in [0, 1], with which a p_OUT + (1 - a) comes nearest to p_IN over samples that have both averages.

    For the population of an online attack that no reference was trained on: least squares through (1, 1).

    Args:
        references: scaled logits of each reference model, [K, S].
        inside: bool [K, S], whether the reference was trained on the sample.

    Raises:
        DataError: a sample has no IN or no OUT reference.
    """
    require_references(inside, 1, "IN")
    require_references(~inside, 1, "OUT")
    probability = probability_of_phi(references)[..., None]
    missing_in, missing_out = (1.0 - moments(probability, chosen).mean for chosen in (inside, ~inside))
    slope = float((missing_in * missing_out).sum() / max(float(np.square(missing_out).sum()), 1e-12))
    return min(1.0, max(0.0, slope))


def _ratio(
    phi: NDArray[np.floating], references: NDArray[np.floating], inside: Flags, *, offline: bool, a: float
) -> Floats:
    """p(x | target) / p(x), [S]."""
    require_references(~inside, 1, "OUT")
    probability = probability_of_phi(references)[..., None]
    others = moments(probability, ~inside).mean[:, 0]
    members = a * others + (1.0 - a)
    if not offline:
        fitted = moments(probability, inside)
        members = np.where(fitted.count[:, 0] > 0, fitted.mean[:, 0], members)
    ratio: Floats = probability_of_phi(phi) / ((members + others) / 2.0)
    return ratio
