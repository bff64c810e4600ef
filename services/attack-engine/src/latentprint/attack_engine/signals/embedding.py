"""SupervisedMI: the embedding itself as signal, the control that sees no views."""

from dataclasses import dataclass

from latentprint.attack_engine.asking.endpoint import Endpoint
from latentprint.attack_engine.signals.signal import SignalBatch, Values, whole
from latentprint.core.datasets import Ids, Samples
from latentprint.core.outputs import EMBEDDING


@dataclass(frozen=True)
class EmbeddingSignal:
    """The embedding of the whole image; expected near chance on self-supervised victims (PartCrop, Sec. 5)."""

    name = "supervisedmi"
    outputs = (EMBEDDING,)

    def queries_per_sample(self, sample_shape: tuple[int, ...]) -> int:
        """The whole sample once."""
        return 1

    def extract(self, images: Samples, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Embeddings of uint8 images [B, H, W, 3] or float32 vectors [B, F]: float32 [B, D]."""
        return SignalBatch(endpoint.query(images, (EMBEDDING,))[EMBEDDING].reshape(len(images), -1))

    def features(self, values: Values, queries: int | None = None) -> Values | None:
        """See `Signal.features`: the embedding."""
        return whole(values, queries)
