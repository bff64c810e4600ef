"""A small network for any number of classes: what attributes are inferred with."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.inference.base import Features, Membership, Scores, Standardiser
from latentprint.core.checks import require

if TYPE_CHECKING:
    from sklearn.neural_network import MLPClassifier

Classes = NDArray[np.int64]


class ClassGuesser(Protocol):
    """What guesses classes."""

    def guess(self, features: Features) -> Classes:
        """The likeliest class int64 [S] of features float32 [S, F]; one of those that it was fitted to."""
        ...


@runtime_checkable
class ClassInference(Protocol):
    """An inference model for more than two classes."""

    def fit_classes(self, features: Features, target: Classes, rng: np.random.Generator) -> ClassGuesser:
        """Fit to features float32 [S, F] of known classes int64 [S]; all randomness from `rng`."""
        ...


@dataclass(frozen=True)
class SoftmaxScorer:
    """A fitted network. As a scorer of membership it gives the probability of the second class."""

    standardise: Standardiser
    model: "MLPClassifier"
    threshold: float = 0.5

    def guess(self, features: Features) -> Classes:
        """See `ClassGuesser.guess`."""
        return np.asarray(self.model.predict(self.standardise(features)), dtype=np.int64)

    def score(self, features: Features) -> Scores:
        """The probability float64 [S] of features float32 [S, F]."""
        probability: Scores = self.model.predict_proba(self.standardise(features))[:, 1].astype(np.float64)
        return probability


@dataclass(frozen=True)
class SoftmaxMlp:
    """The attribute attack's MLP: softmax, cross-entropy, SGD (ContrastiveLeaks, CCS 2021, Sec. 5), by scikit-learn.

    Attributes:
        hidden: widths of the hidden layers.
        learning_rate: of SGD with momentum 0.9.
        epochs: over the known samples.
        batch: samples a step; of fewer known samples, all.
    """

    hidden: tuple[int, ...] = (128, 128, 128)
    learning_rate: float = 0.01
    epochs: int = 100
    batch: int = 64

    def __post_init__(self) -> None:
        for name in ("learning_rate", "epochs", "batch"):
            require(getattr(self, name) > 0, f"softmax-mlp: {name}", getattr(self, name), "above 0")

    def fit(self, features: Features, member: Membership, rng: np.random.Generator) -> SoftmaxScorer:
        """Fit to known samples of both sides, float32 [S, F] and bool [S]."""
        return self.fit_classes(features, member.astype(np.int64), rng)

    def fit_classes(self, features: Features, target: Classes, rng: np.random.Generator) -> SoftmaxScorer:
        """See `ClassInference.fit_classes`."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        standardise = Standardiser.of(features)
        model = MLPClassifier(
            self.hidden,
            solver="sgd",
            learning_rate_init=self.learning_rate,
            batch_size=min(self.batch, len(features)),
            max_iter=self.epochs,
            n_iter_no_change=self.epochs,
            random_state=int(rng.integers(2**32)),
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the number of epochs is the method's
            return SoftmaxScorer(standardise, model.fit(standardise(features), target))
