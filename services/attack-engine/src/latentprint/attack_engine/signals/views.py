"""Signals of augmented views: EncoderMI (CCS 2021) and the variance of the embedding."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from latentprint.attack_engine.asking.endpoint import Endpoint
from latentprint.attack_engine.asking.signal import Outputs, SignalBatch, Values, require_images, whole
from latentprint.attack_engine.signals.feature_maps import width_of
from latentprint.core.datasets import Ids, Images
from latentprint.core.errors import UsageError
from latentprint.core.outputs import EMBEDDING
from latentprint.core.views.augmentations import PRESETS, RIGID, Augmentation, views_for_samples

VICTIM = "victim"


@dataclass(frozen=True)
class EncoderMISignal:
    """Pairwise cosine similarities of `views` augmented views, sorted (EncoderMI, Sec. 4).

    Attributes:
        views: augmented views an image, n.
        augmentation: "victim" for the victim's own training augmentation (full knowledge), else a preset.
        known: the victim's own augmentation; an experiment fills it in from the victim's recipe.
        seed: of the views.
    """

    views: int = 10
    augmentation: Literal["generic", "moco", "moco-weak", "dino", "mae", "victim"] = "generic"
    known: Augmentation | None = None
    seed: int = 0

    name = "encodermi"
    outputs = (EMBEDDING,)
    choice = ""

    def for_outputs(self, outputs: Outputs, url: str) -> "EncoderMISignal":
        """See `ShapedSignal.for_outputs`: the cosine of two single numbers says nothing but their signs."""
        if width_of(outputs.get(EMBEDDING)) == 1:
            raise UsageError(
                f"{url} gives embeddings of a single number, between which there are no angles: there is nothing for "
                "encodermi to read. Name another of its outputs with --output-name embedding=NAME."
            )
        return self

    def informed(self, augmentation: Augmentation) -> "EncoderMISignal":
        """See `InformedSignal.informed`."""
        wanted = self.augmentation == VICTIM and self.known is None
        return replace(self, known=augmentation) if wanted else self

    def queries_per_sample(self, sample_shape: tuple[int, ...]) -> int:
        """Every view once."""
        require_images(self.name, sample_shape)
        return self.views

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Similarities of uint8 images [B, H, W, 3]: float32 [B, n (n - 1) / 2], view by view.

        Raises:
            UsageError: the victim's own augmentation is asked for and not known.
        """
        vectors = view_embeddings(images, sample_ids, self._drawn(), self.views, self.seed, endpoint)
        unit = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
        later, earlier = np.tril_indices(self.views, k=-1)
        return SignalBatch(np.einsum("bpd,bpd->bp", unit[:, later], unit[:, earlier]).astype(np.float32))

    def features(self, values: Values, queries: int | None = None) -> Values | None:
        """See `Signal.features`: the similarities among the first views, sorted descending."""
        views = self.views if queries is None else queries
        if not 2 <= views <= self.views:
            return None
        return -np.sort(-values[:, : views * (views - 1) // 2], axis=-1)[:, None]

    def _drawn(self) -> Augmentation:
        if self.augmentation != VICTIM:
            return PRESETS[self.augmentation]
        if self.known is None:
            raise UsageError(
                "The attack encodermi: the victim's own augmentation is not known here. Give it as `known`, or choose "
                f"an augmentation: {', '.join(PRESETS)}."
            )
        return self.known


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

    def queries_per_sample(self, sample_shape: tuple[int, ...]) -> int:
        """Every view once."""
        require_images(self.name, sample_shape)
        return self.views

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Signal of uint8 images [B, H, W, 3]: float32 [B, D]."""
        vectors = view_embeddings(images, sample_ids, RIGID, self.views, self.seed, endpoint)
        return SignalBatch(vectors.var(axis=1).astype(np.float32))

    def features(self, values: Values, queries: int | None = None) -> Values | None:
        """See `Signal.features`: the variances."""
        return whole(values, queries)


def view_embeddings(
    images: Images, sample_ids: Ids, augmentation: Augmentation, views: int, seed: int, endpoint: Endpoint
) -> NDArray[np.float64]:
    """Embeddings float64 [B, views, D] of augmented views of uint8 images [B, H, W, 3]."""
    drawn = views_for_samples(torch.from_numpy(images), sample_ids, augmentation, views=views, seed=seed).numpy()
    answers = endpoint.query(drawn.reshape(-1, *drawn.shape[2:]), (EMBEDDING,))[EMBEDDING]
    return answers.reshape(len(images), views, -1).astype(np.float64)
