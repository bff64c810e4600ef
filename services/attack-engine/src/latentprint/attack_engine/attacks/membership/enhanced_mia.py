"""EnhancedMIA: how low a sample's loss lies among its losses under models not trained on it (Ye et al., CCS 2022)."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from latentprint.attack_engine.asking.signal import Values
from latentprint.attack_engine.attacks.posterior_reading import PosteriorReading
from latentprint.attack_engine.attacks.reading import one_draw
from latentprint.attack_engine.evidence.needs import Needs, References
from latentprint.attack_engine.evidence.posterior_metrics import loss_of_phi
from latentprint.attack_engine.evidence.reference_moments import Flags, Floats, moments, require_references
from latentprint.attack_engine.evidence.types import Evidence

Distribution = Literal["gaussian", "empirical", "mean"]


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


def loss_quantile(
    loss: NDArray[np.floating],
    reference_losses: NDArray[np.floating],
    outside: Flags,
    *,
    distribution: Distribution = "mean",
) -> Floats:
    """-ln alpha, where alpha is the quantile at which a sample's loss lies in the losses of its own references.

    Attack R with references that were trained as the target was, attack D with models distilled from the target.
    "gaussian" is the fitted normal distribution; "empirical" is (below + (ties + 1) / 2) / (references + 1), never 0;
    "mean" is the mean of both scores, so that the Gaussian tail orders samples below all their references.

    Args:
        loss: of the model under attack, [S].
        reference_losses: [K, S].
        outside: bool [K, S], whether the reference was not trained on the sample; others are not used.
        distribution: "gaussian", "empirical" or "mean".

    Returns:
        float64 [S], non-negative; higher = member.

    Raises:
        DataError: a sample has fewer than 2 references, or none with "empirical".
    """
    require_references(outside, 1 if distribution == "empirical" else 2, "OUT")
    own = loss.astype(np.float64)
    if distribution == "gaussian":
        return _gaussian(own, reference_losses, outside)
    if distribution == "empirical":
        return _empirical(own, reference_losses, outside)
    mean: Floats = (_gaussian(own, reference_losses, outside) + _empirical(own, reference_losses, outside)) / 2.0
    return mean


def _gaussian(loss: Floats, reference_losses: NDArray[np.floating], outside: Flags) -> Floats:
    fitted = moments(reference_losses[..., None], outside)
    score: Floats = -log_ndtr((loss - fitted.mean[:, 0]) / np.sqrt(fitted.variance[:, 0]))
    return score


def _empirical(loss: Floats, reference_losses: NDArray[np.floating], outside: Flags) -> Floats:
    below = np.count_nonzero(outside & (reference_losses < loss), axis=0)
    ties = np.count_nonzero(outside & (reference_losses == loss), axis=0)
    alpha = (below + (ties + 1) / 2.0) / (np.count_nonzero(outside, axis=0) + 1)
    score: Floats = -np.log(alpha)
    return score
