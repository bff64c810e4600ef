"""Signals of augmented views: EncoderMI (CCS 2021) and the variance of the embedding."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from leakscope.attack_engine.attacks.signal import SignalBatch
from leakscope.attack_engine.endpoints.base import Endpoint
from leakscope.core.datasets import Ids, Images
from leakscope.core.encoders import EMBEDDING
from leakscope.core.views.augmentations import PRESETS, RIGID, Augmentation, views_for_samples


@dataclass(frozen=True)
class EncoderMISignal:
    """Pairwise cosine similarities of `views` augmented views, sorted (EncoderMI-V).

    Attributes:
        views: augmented views an image, n.
        augmentation: preset that the views are drawn with: the victim's own where it is known, else "generic".
        seed: of the views.
    """

    views: int = 10
    augmentation: Literal["generic", "moco", "moco-weak", "dino", "mae"] = "generic"
    seed: int = 0

    name = "encodermi"
    outputs = (EMBEDDING,)

    def queries_per_sample(self, image_size: tuple[int, int]) -> int:
        """Every view once."""
        return self.views

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Signal of uint8 images [B, H, W, 3]: float32 [B, n (n - 1) / 2], sorted descending."""
        vectors = _view_embeddings(images, sample_ids, PRESETS[self.augmentation], self.views, self.seed, endpoint)
        unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
        first, second = np.triu_indices(self.views, k=1)
        similarity = np.einsum("bpd,bpd->bp", unit[:, first], unit[:, second])
        return SignalBatch(-np.sort(-similarity, axis=-1).astype(np.float32))


@dataclass(frozen=True)
class VarianceSignal:
    """Channel-wise variance of the embedding over rotated and translated views (Variance-onlyMI in PartCrop, Sec. 5).

    Attributes:
        views: views an image, n.
        seed: of the views.
    """

    views: int = 10
    seed: int = 0

    name = "variance"
    outputs = (EMBEDDING,)

    def queries_per_sample(self, image_size: tuple[int, int]) -> int:
        """Every view once."""
        return self.views

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Signal of uint8 images [B, H, W, 3]: float32 [B, D]."""
        vectors = _view_embeddings(images, sample_ids, RIGID, self.views, self.seed, endpoint)
        return SignalBatch(vectors.var(axis=1).astype(np.float32))


def _view_embeddings(
    images: Images, sample_ids: Ids, augmentation: Augmentation, views: int, seed: int, endpoint: Endpoint
) -> NDArray[np.float64]:
    drawn = views_for_samples(torch.from_numpy(images), sample_ids, augmentation, views=views, seed=seed).numpy()
    answers = endpoint.query(drawn.reshape(-1, *drawn.shape[2:]), (EMBEDDING,))[EMBEDDING]
    return answers.reshape(len(images), views, -1).astype(np.float64)
