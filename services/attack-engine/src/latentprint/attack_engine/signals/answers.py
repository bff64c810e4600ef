"""The plain answer of an endpoint to the whole sample, kept as it came, and what cosines and densities read of it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.endpoint import Endpoint
from latentprint.attack_engine.asking.signal import Outputs, SignalBatch, Values, whole
from latentprint.core.datasets import Ids
from latentprint.core.errors import UsageError
from latentprint.core.outputs import EMBEDDING, POSTERIOR
from latentprint.core.samples import Samples

_SHORTEST = np.finfo(np.float64).tiny


@dataclass(frozen=True)
class PlainAnswer:
    """One output of the endpoint, asked once a sample; whatever reads it shares the one query.

    Attributes:
        output: which.
        purpose: what the samples are for; answers for different purposes are counted apart.
    """

    output: str = EMBEDDING
    purpose: str = "audit"

    choice = ""

    @property
    def name(self) -> str:
        """See `Signal.name`."""
        return f"answer-{self.output}"

    @property
    def outputs(self) -> tuple[str, ...]:
        """See `Signal.outputs`."""
        return (self.output,)

    def for_outputs(self, outputs: Outputs, url: str) -> "PlainAnswer":
        """See `ShapedSignal.for_outputs`: a posterior is one probability for each of two or more classes."""
        shape = outputs.get(self.output)
        if self.output == POSTERIOR and shape is not None and (len(shape) != 1 or shape == (1,)):
            raise UsageError(
                f"{url} gives a posterior of shape {list(shape)}; attacks on posteriors read one probability for each "
                "of two or more classes: name another of its outputs with --output-name posterior=NAME."
            )
        return self

    def queries_per_sample(self, sample_shape: tuple[int, ...]) -> int:
        """The whole sample once."""
        return 1

    def extract(self, images: Samples, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """The answers float32 [B, K], row-major."""
        return SignalBatch(endpoint.query(images, self.outputs)[self.output].reshape(len(images), -1))

    def features(self, values: Values, queries: int | None = None) -> Values | None:
        """See `Signal.features`: the answer."""
        return whole(values, queries)


def unit_vectors(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """`vectors` [..., D] with a Euclidean norm of 1, float64; a vector of zeros stays one."""
    values = vectors.astype(np.float64)
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), _SHORTEST))
