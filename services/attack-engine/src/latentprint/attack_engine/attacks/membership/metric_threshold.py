"""MBA: one metric of the posterior against a threshold a class (Song and Mittal, USENIX Security 2021)."""

from dataclasses import dataclass

import numpy as np

from latentprint.attack_engine.asking.signal import Values
from latentprint.attack_engine.attacks.posterior_reading import PosteriorReading
from latentprint.attack_engine.attacks.reading import one_draw
from latentprint.attack_engine.evidence.posterior_metrics import METRICS, posterior_metrics
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.core.errors import unknown_name

_MOST_MEMBER_LIKE = {"loss": -1.0, "max": 1.0, "sd": 1.0, "entropy": -1.0, "m-entropy": -1.0}


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
