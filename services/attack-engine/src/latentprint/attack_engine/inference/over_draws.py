"""Inference over several independent draws of one signal, such as PartCrop's fresh crops at every epoch."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.inference.base import (
    Decider,
    Features,
    InferenceModel,
    Membership,
    Scorer,
    Scores,
)
from latentprint.attack_engine.inference.mlp import MlpClassifier

Draws = NDArray[np.float32]


@dataclass(frozen=True)
class DrawsScorer:
    """Scores are means over the draws, without the share `trimmed` of them at either end."""

    scorer: Scorer
    trimmed: float = 0.0

    @property
    def threshold(self) -> float:
        """See `Scorer.threshold`."""
        return self.scorer.threshold

    def score(self, draws: Draws) -> Scores:
        """Scores float64 [S] of draws float32 [S, R, F]."""
        samples, rounds, _ = draws.shape
        left_out = int(self.trimmed * rounds)
        score = self.scorer.score(_stacked(draws)).reshape(rounds, samples)
        if left_out:
            score = np.sort(score, axis=0)[left_out : rounds - left_out]
        mean: Scores = score.mean(axis=0)
        return mean

    def decide(self, draws: Draws) -> Membership:
        """The scorer's decision, bool [S]: on the mean score, or where it is not one threshold, by at least half."""
        if not isinstance(self.scorer, Decider):
            return self.score(draws) >= self.threshold
        samples, rounds, _ = draws.shape
        called: Membership = self.scorer.decide(_stacked(draws)).reshape(rounds, samples).mean(axis=0) >= 0.5
        return called


@dataclass(frozen=True)
class OverDraws:
    """Fits an inference model to all draws of the known samples.

    An `MlpClassifier` passes over R draws in one R-th of its epochs, so that every pass over the samples meets another
    draw: PartCrop's published code crops afresh at every epoch.

    Attributes:
        inference: what reads one draw.
        trimmed: share of a sample's draws, at either end, that its score leaves out; below one half.
    """

    inference: InferenceModel
    trimmed: float = 0.0

    def fit(self, draws: Draws, member: Membership, rng: np.random.Generator) -> DrawsScorer:
        """Fit on float32 [S, R, F] and bool [S]; all randomness from `rng`."""
        rounds = draws.shape[1]
        inference = self.inference
        if isinstance(inference, MlpClassifier):
            inference = replace(inference, epochs=max(1, inference.epochs // rounds))
        return DrawsScorer(inference.fit(_stacked(draws), np.tile(member, rounds), rng), self.trimmed)


def _stacked(draws: Draws) -> Features:
    """[S, R, F] to [R * S, F], draw after draw."""
    return draws.swapaxes(0, 1).reshape(-1, draws.shape[-1])
