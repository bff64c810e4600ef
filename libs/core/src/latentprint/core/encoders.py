"""A timm model as an encoder with named outputs, from raw uint8 images or float32 vectors."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from latentprint.core.errors import UsageError, unknown_name
from latentprint.core.outputs import EMBEDDING, FEATURE_MAP, OUTPUTS, POSTERIOR
from latentprint.core.samples import Samples, blank_samples

_OTHERS = f"its other outputs alone ({EMBEDDING}, {POSTERIOR})"


class Encoder(nn.Module):
    """A timm backbone that answers `embedding` [B, D], `feature_map` [B, N, D] and `posterior` [B, C].

    `feature_map` holds the spatial tokens after the last norm, without class tokens; `embedding` is the model's
    own pooling of them; `posterior` is the softmax of its classifier. Always in eval mode: an answer never depends
    on the samples beside it.

    A model of vectors (one whose `in_features` is their length) is asked float vectors [B, F] and has no feature map.

    Args:
        model: a timm model.
        outputs: what may be asked for.
        mean, std: per-channel normalisation of images scaled to [0, 1]; of vectors, one value for all features or one
            each. Taken from the model where not given.

    Attributes:
        channels: mean and deviation, as given or as taken from the model.

    Raises:
        UsageError: an output that is none, or a feature map of a model of vectors.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: Any,
        outputs: Sequence[str],
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        for name in outputs:
            if name not in OUTPUTS:
                raise unknown_name("output", name, OUTPUTS)
        config = model.pretrained_cfg
        self.model: Any = model
        self.outputs = tuple(outputs)
        self.features = vector_features(model)
        if self.features is not None and FEATURE_MAP in self.outputs:
            raise UsageError(f"A model of vectors has no {FEATURE_MAP}: ask for {EMBEDDING} or {POSTERIOR}.")
        self.channels = tuple(mean or config["mean"]), tuple(std or config["std"])
        levels = 255 if self.features is None else 1
        self.register_buffer("mean", torch.tensor(self.channels[0]) * levels)
        self.register_buffer("std", torch.tensor(self.channels[1]) * levels)
        self.eval()

    def train(self, mode: bool = True) -> "Encoder":
        """Stay in eval mode whatever is asked: an encoder here only answers."""
        return super().train(False)

    def forward(self, samples: Tensor, outputs: Sequence[str]) -> dict[str, Tensor]:
        """Answer `outputs` for uint8 images [B, H, W, 3], or for float32 vectors [B, F].

        Raises:
            UsageError: an output that is not public, images for a model of vectors, or the reverse.
        """
        for name in outputs:
            if name not in self.outputs:
                raise unknown_name("output", name, self.outputs)
        features = self.model.forward_features(self.normalised(samples))
        answers: dict[str, Tensor] = {}
        if FEATURE_MAP in outputs:
            answers[FEATURE_MAP] = self.spatial_tokens(features).float()
        if EMBEDDING in outputs:
            answers[EMBEDDING] = self.model.forward_head(features, pre_logits=True).float()
        if POSTERIOR in outputs:
            answers[POSTERIOR] = self.model.forward_head(features).float().softmax(dim=-1)
        return answers

    def normalised(self, samples: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] to the backbone's input, float [B, 3, H, W]; vectors [B, F] to float [B, F].

        Raises:
            UsageError: samples of the wrong kind, or vectors of the wrong length.
        """
        if self.features is None and samples.ndim != 4:
            raise UsageError(f"This model takes images [B, H, W, 3], not samples of the shape {[*samples.shape]}.")
        if self.features is not None and tuple(samples.shape[1:]) != (self.features,):
            raise UsageError(f"This model takes vectors [B, {self.features}], not the shape {[*samples.shape]}.")
        scaled = (samples.to(self.mean.dtype) - self.mean) / self.std
        return scaled if self.features is not None else scaled.permute(0, 3, 1, 2).contiguous()

    def spatial_tokens(self, features: Tensor) -> Tensor:
        """The backbone's features as spatial tokens [B, N, D], row-major, class tokens dropped.

        Raises:
            UsageError: the backbone ends in several maps, or in class tokens alone (timm's coat, crossvit, pit).
        """
        if isinstance(features, Sequence) or features.ndim < 3:
            raise UsageError(f"{type(self.model).__name__} ends in no single feature map: make public {_OTHERS}.")
        if features.ndim == 3:  # [B, P + N, D]
            tokens = features[:, prefix_tokens(self.model) :]
            if tokens.shape[1] == 0:
                raise UsageError(f"{type(self.model).__name__} ends in a class token alone: make public {_OTHERS}.")
            return tokens
        if getattr(self.model, "output_fmt", "NCHW") == "NHWC":
            return features.flatten(1, 2)
        return features.flatten(2).transpose(1, 2)  # [B, D, h, w] -> [B, N, D]

    @torch.inference_mode()
    def answer(self, samples: Samples, outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """`forward` from and to numpy: uint8 [B, H, W, 3] or float32 [B, F] to float32 arrays."""
        answers = self(torch.from_numpy(samples).to(self.mean.device), outputs)
        return {name: tensor.cpu().numpy() for name, tensor in answers.items()}

    def shapes(self, sample_shape: tuple[int, ...]) -> Mapping[str, tuple[int, ...]]:
        """Shape of each public output for one image (H, W, 3) or vector (F,)."""
        probe = blank_samples(1, sample_shape)
        return {name: value.shape[1:] for name, value in self.answer(probe, self.outputs).items()}


def prefix_tokens(model: Any) -> int:
    """Class and register tokens before a timm model's spatial ones."""
    published = getattr(model, "num_prefix_tokens", None)
    return int(getattr(model, "cls_token", None) is not None) if published is None else int(published)


def vector_features(model: Any) -> int | None:
    """Length of the vectors that a timm model takes; None for a model of images."""
    features = getattr(model, "in_features", None)
    return None if features is None else int(features)
