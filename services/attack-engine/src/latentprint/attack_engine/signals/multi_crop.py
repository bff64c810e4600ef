"""Relations between an image's global and local views, as DOV4CL (ICLR 2025) takes them."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from latentprint.attack_engine.asking.endpoint import Endpoint
from latentprint.attack_engine.asking.signal import SignalBatch, Values, require_images, whole
from latentprint.attack_engine.signals.answers import unit_vectors
from latentprint.core.checks import require
from latentprint.core.datasets import Ids, Images
from latentprint.core.outputs import EMBEDDING
from latentprint.core.views.augmentations import PRESETS, views_for_samples
from latentprint.core.views.boxes import Range

_GLOBAL, _LOCAL = (0.4, 1.0), (0.05, 0.4)  # areas of crops


@dataclass(frozen=True)
class MultiCropRelations:
    """Mean cosine between an image's global views, between its local views, and between one of either kind.

    Attributes:
        global_views: of an area of 0.4 to 1 of the image.
        local_views: of an area of 0.05 to 0.4.
        augmentation: a preset, whose crops are replaced by these.
        seed: of the views.
    """

    global_views: int = 2
    local_views: int = 6
    augmentation: Literal["generic", "moco", "moco-weak", "dino", "mae"] = "generic"
    seed: int = 0

    name = "multi-crop-relations"
    outputs = (EMBEDDING,)

    def __post_init__(self) -> None:
        for option in ("global_views", "local_views"):
            require(getattr(self, option) >= 2, f"view-relations: {option}", getattr(self, option), "at least 2")

    def queries_per_sample(self, sample_shape: tuple[int, ...]) -> int:
        """Every view once."""
        require_images("view-relations", sample_shape)
        return self.global_views + self.local_views

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """The relations (global-global, local-local, global-local) of uint8 images [B, H, W, 3]: float32 [B, 3]."""
        first, count = self.global_views, self.global_views + self.local_views
        # Local views are the stream's later ones, so that they share no draw with the global ones.
        views = [self._views(images, sample_ids, _GLOBAL, first), self._views(images, sample_ids, _LOCAL, count)]
        asked = np.concatenate([views[0], views[1][:, first:]], axis=1)
        answers = endpoint.query(asked.reshape(-1, *asked.shape[2:]), (EMBEDDING,))[EMBEDDING]
        vectors = unit_vectors(answers.reshape(len(images), count, -1))
        cosines = np.einsum("bvd,bwd->bvw", vectors, vectors)
        within = [_mean_of_pairs(block) for block in (cosines[:, :first, :first], cosines[:, first:, first:])]
        across = cosines[:, :first, first:].mean(axis=(1, 2))
        return SignalBatch(np.stack([*within, across], axis=1).astype(np.float32))

    def features(self, values: Values, queries: int | None = None) -> Values | None:
        """See `Signal.features`: the relations."""
        return whole(values, queries)

    def _views(self, images: Images, sample_ids: Ids, area: Range, views: int) -> NDArray[np.uint8]:
        augmentation = replace(PRESETS[self.augmentation], crop_scale=area)
        drawn = views_for_samples(torch.from_numpy(images), sample_ids, augmentation, views=views, seed=self.seed)
        return np.asarray(drawn.numpy())


def _mean_of_pairs(cosines: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the pairs of different views, of cosines [B, V, V]: [B]."""
    later, earlier = np.tril_indices(cosines.shape[1], k=-1)
    return np.asarray(cosines[:, later, earlier].mean(axis=1))
