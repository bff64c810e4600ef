"""Range membership: a signal of versions of an image, for whoever holds a copy and never the bytes trained on."""

import io
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from latentprint.attack_engine.asking.endpoint import Endpoint
from latentprint.attack_engine.asking.signal import (
    InformedSignal,
    Outputs,
    QueryShape,
    ShapedSignal,
    Signal,
    SignalBatch,
    Values,
    asked_of,
    require_images,
    suited,
)
from latentprint.core.checks import require
from latentprint.core.datasets import Ids, Images
from latentprint.core.errors import unknown_name
from latentprint.core.views.augmentations import Augmentation, views_for_samples
from latentprint.core.views.streams import uniforms

CROPS, FLIPS, SHIFTS, JPEG = "crops", "flips", "shifts", "jpeg"
VERSIONS = (CROPS, FLIPS, SHIFTS, JPEG)
TRIMMED = 0.25  # of a range's scores at either end, which its mean leaves out
_LEAST_AREA, _LARGEST_SHIFT = 0.8, 0.05
_QUALITY = (50, 95)
_STREAM = 1_000_003  # keeps the versions' draws apart from those of a signal's own views


@dataclass(frozen=True)
class InRange:
    """A signal asked of `draws` versions of each image, each as if it were the image (after RaMIA, 2025).

    Attributes:
        of: the signal.
        versions: what may happen to a copy: "crops" (80 to 100 % of the area), "flips" (half of them), "shifts" (up to
            5 % of the side), "jpeg" (encoded anew at a quality of 50 to 95).
        draws: versions an image, m.
        seed: of the versions.
    """

    of: Signal
    versions: tuple[str, ...]
    draws: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        require(bool(self.versions), "A range", self.versions, f"some of {', '.join(VERSIONS)}")
        for name in self.versions:
            if name not in VERSIONS:
                raise unknown_name("kind of version", name, VERSIONS)
        require(self.draws >= 1, "A range's draws", self.draws, "at least 1")

    @property
    def name(self) -> str:
        """See `Signal.name`."""
        return f"{self.of.name} in range"

    @property
    def outputs(self) -> tuple[str, ...]:
        """See `Signal.outputs`."""
        return self.of.outputs

    @property
    def choice(self) -> str:
        """See `ShapedSignal.choice`."""
        own = f"of {self.draws} versions of each image ({', '.join(self.versions)})"
        return f"{self.of.choice}; {own}" if isinstance(self.of, ShapedSignal) and self.of.choice else own

    def for_outputs(self, outputs: Outputs, url: str) -> "InRange":
        """See `ShapedSignal.for_outputs`."""
        return replace(self, of=suited(self.of, outputs, url))

    def informed(self, augmentation: Augmentation) -> "InRange":
        """See `InformedSignal.informed`."""
        return replace(self, of=self.of.informed(augmentation)) if isinstance(self.of, InformedSignal) else self

    def shapes_asked(self, sample_shape: tuple[int, ...]) -> tuple[QueryShape, ...]:
        """See `Resizing.shapes_asked`."""
        return asked_of(self.of, sample_shape) * self.draws

    def queries_per_sample(self, sample_shape: tuple[int, ...]) -> int:
        """What the signal asks, of every version."""
        require_images(self.name, sample_shape)
        return self.draws * self.of.queries_per_sample(sample_shape)

    def extract(self, images: Images, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Values float32 [B, m * K], version by version, of uint8 images [B, H, W, 3]."""
        drawn = self.drawn(images, sample_ids)
        values = [self.of.extract(drawn[:, number], sample_ids, endpoint).values for number in range(self.draws)]
        return SignalBatch(np.concatenate(values, axis=1))

    def features(self, values: Values, queries: int | None = None) -> Values | None:
        """See `Signal.features`: the versions' features are so many draws; with fewer queries it does not do."""
        if queries is not None:
            return None
        parts = [self.of.features(part) for part in np.split(values, self.draws, axis=1)]
        given = [part for part in parts if part is not None]
        return np.concatenate(given, axis=1) if given else None

    def drawn(self, images: Images, sample_ids: Ids) -> Images:
        """The versions, uint8 [B, m, H, W, 3], each sample's from a stream of its own."""
        shift = _LARGEST_SHIFT if SHIFTS in self.versions else 0.0
        area = _LEAST_AREA if CROPS in self.versions else 1.0
        flips = 0.5 if FLIPS in self.versions else 0.0
        change = Augmentation(crop_scale=(area, 1.0), flip_probability=flips, translation=shift)
        seed = self.seed + _STREAM
        drawn = views_for_samples(torch.from_numpy(images), sample_ids, change, views=self.draws, seed=seed).numpy()
        if JPEG not in self.versions:
            return drawn
        low, high = _QUALITY
        quality = low + uniforms(sample_ids, seed, (self.draws,), "jpeg quality") * (high - low)
        flat = drawn.reshape(-1, *drawn.shape[2:])
        encoded = [_encoded(image, int(level)) for image, level in zip(flat, quality.ravel(), strict=True)]
        return np.stack(encoded).reshape(drawn.shape)


def _encoded(image: Images, quality: int) -> Images:
    """One image uint8 [H, W, 3] as JPEG and back."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream))
