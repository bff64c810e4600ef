"""PartCrop (CCS 2024): how strongly an image's own parts respond in its feature map."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from leakscope.attack_engine.attacks.energies import (
    Floats,
    gaussian_energy,
    gaussian_references,
    log_responses,
    uniform_energy,
)
from leakscope.attack_engine.attacks.signal import SignalBatch
from leakscope.attack_engine.endpoints.base import Endpoint
from leakscope.core.datasets import Ids, Images
from leakscope.core.encoders import EMBEDDING, FEATURE_MAP
from leakscope.core.views.part_crops import draw_part_crops, part_crops

_LARGEST = float(np.finfo(np.float32).max)
_SMALL_IMAGE = 64
_SMALL_PART = 16


@dataclass(frozen=True)
class PartCropSignal:
    """Energies of `crops` part crops against the whole image's feature map, sorted (Sec. 4 of the paper).

    Attributes:
        crops: part crops an image, M.
        scale: range of the crops' share of the image's area.
        similarity: "dot" as in the paper, or "cosine".
        energies: "both" (U and G), "uniform" or "gaussian".
        side: side of a resized part in pixels; 0 chooses 16 up to 64 pixels, a quarter of the image above.
        seed: of the crops and of the Gaussian references.
    """

    crops: int = 128
    scale: tuple[float, float] = (0.08, 0.2)
    similarity: Literal["dot", "cosine"] = "dot"
    energies: Literal["both", "uniform", "gaussian"] = "both"
    side: int = 0
    seed: int = 0

    name = "partcrop"
    outputs = (FEATURE_MAP, EMBEDDING)

    def queries_per_sample(self, image_size: tuple[int, int]) -> int:
        """The whole image once, then every part."""
        return 1 + self.crops

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Signal of uint8 images [B, H, W, 3]: float32 [B, 2M] (one energy: [B, M]), each energy sorted descending.

        The diagnostic `part_response` [B, N] is the mean over crops of the responses sorted descending (Fig. 2).
        """
        feature_map = endpoint.query(images, (FEATURE_MAP,))[FEATURE_MAP]
        parts = self._parts(images, sample_ids)
        embeddings = endpoint.query(parts.reshape(-1, *parts.shape[2:]), (EMBEDDING,))[EMBEDDING]
        response = log_responses(
            embeddings.reshape(len(images), self.crops, -1), feature_map, cosine=self.similarity == "cosine"
        )
        ranked = -np.sort(-np.exp(response), axis=-1).mean(axis=1)
        return SignalBatch(self._energies(response), {"part_response": ranked.astype(np.float32)})

    def _parts(self, images: Images, sample_ids: Ids) -> Images:
        height, width = images.shape[1:3]
        parameters = draw_part_crops(sample_ids, (height, width), crops=self.crops, scale=self.scale, seed=self.seed)
        side = self.side or (_SMALL_PART if min(height, width) <= _SMALL_IMAGE else min(height, width) // 4)
        parts: Images = part_crops(torch.from_numpy(images), parameters, side).numpy()
        return parts

    def _energies(self, response: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        references = gaussian_references(self.crops, response.shape[-1], np.random.default_rng(self.seed))
        uniform, gaussian = uniform_energy(response), gaussian_energy(response, references)
        chosen = {"both": (uniform, gaussian), "uniform": (uniform,), "gaussian": (gaussian,)}[self.energies]
        signal = np.concatenate([-np.sort(-energy, axis=-1) for energy in chosen], axis=-1)
        return signal.clip(max=_LARGEST).astype(np.float32)
