"""LpLA: how long an embedding is, by several norms, under the lengths of known members and of known non-members."""

from dataclasses import dataclass
from typing import Literal

from latentprint.attack_engine.asking.signal import Signal, Values
from latentprint.attack_engine.attacks.membership.embedding_norm import normalised_words
from latentprint.attack_engine.attacks.reading import Reading, one_draw
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.attack_engine.signals.norms import NORMS, ViewNorms, p_norms
from latentprint.core.checks import require
from latentprint.core.outputs import EMBEDDING


@dataclass(frozen=True)
class Lpla(Reading):
    """The 1-, 2- and infinity-norm of the embedding, each the mean over the sample and its views.

    After LpLA (AsiaCCS 2025, arXiv 2506.05743), whose abstract was read: the likelihood ratio of two Gaussians a norm
    is this project's own.

    Attributes:
        views: augmented views a sample beside the sample itself; 0 asks one query a sample, shared with whatever else
            reads the embedding.
        augmentation: what views are drawn with.
        seed: of the views.
    """

    name = "lpla"
    views: int = 0
    augmentation: Literal["generic", "moco", "moco-weak", "dino", "mae"] = "generic"
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.views >= 0, "A number of views (views) of lpla", self.views, "0 or more")

    @property
    def signals(self) -> tuple[Signal, ...]:
        """See `Reading.signals`."""
        plain = PlainAnswer(EMBEDDING)
        return (plain, ViewNorms(self.views, self.augmentation, self.seed)) if self.views else (plain,)

    def features(self, evidence: Evidence) -> Values:
        """See `Reading.features`: the mean norms, [S, 1, 3]."""
        return self._features(evidence, self.views)

    def features_within(self, evidence: Evidence, queries: int) -> Values | None:
        """See `Reading.features_within`: the sample, and its first views."""
        return self._features(evidence, queries - 1) if 1 <= queries <= 1 + self.views else None

    def unreadable(self, evidence: Evidence) -> str:
        """See `Reading.unreadable`."""
        return normalised_words(evidence.values[self.signals[0].name])

    def _features(self, evidence: Evidence, views: int) -> Values:
        total = p_norms(evidence.values[self.signals[0].name])
        if views:
            drawn = evidence.values[self.signals[1].name][:, : views * len(NORMS)]
            total = total + drawn.reshape(len(total), views, len(NORMS)).sum(axis=1, dtype=total.dtype)
        return one_draw(total / (1 + views))
