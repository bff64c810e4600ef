"""The lengths of embeddings: LpLA's norms, of the answer itself and of answers to augmented views."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.endpoint import Endpoint
from latentprint.attack_engine.asking.signal import SignalBatch, Values, require_images
from latentprint.attack_engine.signals.views import view_embeddings
from latentprint.core.datasets import Ids, Images
from latentprint.core.outputs import EMBEDDING
from latentprint.core.views.augmentations import PRESETS

NORMS = (1, 2, np.inf)


def p_norms(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """The norms `NORMS` of vectors [..., D]: float64 [..., 3]."""
    values = vectors.astype(np.float64)
    return np.stack([np.linalg.norm(values, ord=p, axis=-1) for p in NORMS], axis=-1)


@dataclass(frozen=True)
class ViewNorms:
    """The norms of the embeddings of `views` augmented views, view by view.

    Attributes:
        views: augmented views an image, n.
        augmentation: what they are drawn with.
        seed: of the views.
    """

    views: int = 1
    augmentation: Literal["generic", "moco", "moco-weak", "dino", "mae"] = "generic"
    seed: int = 0

    name = "view-norms"
    outputs = (EMBEDDING,)

    def queries_per_sample(self, sample_shape: tuple[int, ...]) -> int:
        """Every view once."""
        require_images("lpla with views", sample_shape)
        return self.views

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Norms of uint8 images [B, H, W, 3]: float32 [B, n * 3]."""
        vectors = view_embeddings(images, sample_ids, PRESETS[self.augmentation], self.views, self.seed, endpoint)
        return SignalBatch(p_norms(vectors).reshape(len(images), -1).astype(np.float32))

    def features(self, values: Values, queries: int | None = None) -> Values | None:
        """See `Signal.features`: the norms of the first views."""
        views = self.views if queries is None else queries
        return values[:, None, : views * len(NORMS)] if 1 <= views <= self.views else None
