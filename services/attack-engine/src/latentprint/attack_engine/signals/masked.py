"""The answers to an image and to the same image with parts of it masked."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.endpoint import Endpoint
from latentprint.attack_engine.asking.signal import SignalBatch, Values, require_images, whole
from latentprint.core.checks import require
from latentprint.core.datasets import Ids, Images
from latentprint.core.outputs import EMBEDDING
from latentprint.core.views.streams import uniforms

_GREY = 127


@dataclass(frozen=True)
class MaskedImages:
    """Embeddings of the whole image and of `masks` masked ones, where squares of a grid are grey.

    Attributes:
        masks: of each image.
        share: of the squares that are grey.
        grid: squares along each side.
        seed: of which ones.
    """

    masks: int = 4
    share: float = 0.5
    grid: int = 4
    seed: int = 0

    name = "masked-images"
    outputs = (EMBEDDING,)

    def __post_init__(self) -> None:
        require(self.masks >= 1, "masked-reconstruction: masks", self.masks, "at least 1")
        require(self.grid >= 2, "masked-reconstruction: grid", self.grid, "at least 2")
        masked = round(self.share * self.grid**2)
        require(0 < masked < self.grid**2, "masked-reconstruction: share", self.share, "some squares, and not all")

    def queries_per_sample(self, sample_shape: tuple[int, ...]) -> int:
        """The whole image, and every masked one."""
        require_images("masked-reconstruction", sample_shape)
        return 1 + self.masks

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Embeddings of uint8 images [B, H, W, 3], whole and masked: float32 [B, (1 + masks) * D]."""
        hidden = self._hidden(sample_ids, images.shape[1:3])
        masked = np.where(hidden[..., None], np.uint8(_GREY), images[:, None])
        asked = np.concatenate([images[:, None], masked], axis=1)  # [B, 1 + masks, H, W, 3]
        answers = endpoint.query(asked.reshape(-1, *images.shape[1:]), (EMBEDDING,))[EMBEDDING]
        return SignalBatch(answers.reshape(len(images), -1))

    def features(self, values: Values, queries: int | None = None) -> Values | None:
        """See `Signal.features`: the embeddings."""
        return whole(values, queries)

    def _hidden(self, sample_ids: Ids, size: tuple[int, ...]) -> NDArray[np.bool_]:
        """Which pixels are grey, bool [B, masks, H, W]: in each mask the squares with the smallest draws."""
        squares = self.grid**2
        draws = uniforms(sample_ids, self.seed, (self.masks, squares), purpose="masks")
        chosen = draws.argsort(axis=2).argsort(axis=2) < round(self.share * squares)
        rows, columns = (np.arange(side) * self.grid // side for side in size)
        return chosen.reshape(*chosen.shape[:2], self.grid, self.grid)[:, :, rows[:, None], columns]
