"""A timm model as an encoder with named outputs, from raw uint8 images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from leakscope.core.errors import unknown_name

EMBEDDING = "embedding"
FEATURE_MAP = "feature_map"
POSTERIOR = "posterior"
OUTPUTS = (EMBEDDING, FEATURE_MAP, POSTERIOR)


class Encoder(nn.Module):
    """A timm backbone that answers `embedding` [B, D], `feature_map` [B, N, D] and `posterior` [B, C].

    `feature_map` holds the spatial tokens after the last norm, without class tokens; `embedding` is the model's
    own pooling of them; `posterior` is the softmax of its classifier. Always in eval mode: an answer never depends
    on the images beside it.

    Args:
        model: a timm model.
        outputs: what may be asked for.
        mean, std: per-channel normalisation of images scaled to [0, 1]; taken from the model where not given.
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
        self.register_buffer("mean", torch.tensor(mean or config["mean"]) * 255)
        self.register_buffer("std", torch.tensor(std or config["std"]) * 255)
        self.eval()

    def train(self, mode: bool = True) -> "Encoder":
        """Stay in eval mode whatever is asked: an encoder here only answers."""
        return super().train(False)

    def forward(self, images: Tensor, outputs: Sequence[str]) -> dict[str, Tensor]:
        """Answer `outputs` for uint8 images [B, H, W, 3].

        Raises:
            UsageError: an output that is not public.
        """
        for name in outputs:
            if name not in self.outputs:
                raise unknown_name("output", name, self.outputs)
        features = self.model.forward_features(self.normalised(images))
        answers: dict[str, Tensor] = {}
        if FEATURE_MAP in outputs:
            answers[FEATURE_MAP] = self.spatial_tokens(features).float()
        if EMBEDDING in outputs:
            answers[EMBEDDING] = self.model.forward_head(features, pre_logits=True).float()
        if POSTERIOR in outputs:
            answers[POSTERIOR] = self.model.forward_head(features).float().softmax(dim=-1)
        return answers

    def normalised(self, images: Tensor) -> Tensor:
        """uint8 [B, H, W, 3] to the backbone's input, float [B, 3, H, W]."""
        scaled = (images.to(self.mean.dtype) - self.mean) / self.std
        return scaled.permute(0, 3, 1, 2).contiguous()

    def spatial_tokens(self, features: Tensor) -> Tensor:
        """The backbone's features as spatial tokens [B, N, D], row-major, class tokens dropped."""
        if features.ndim == 3:  # [B, P + N, D]
            return features[:, getattr(self.model, "num_prefix_tokens", 0) :]
        if getattr(self.model, "output_fmt", "NCHW") == "NHWC":
            return features.flatten(1, 2)
        return features.flatten(2).transpose(1, 2)  # [B, D, h, w] -> [B, N, D]

    @torch.inference_mode()
    def answer(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """`forward` from and to numpy: uint8 [B, H, W, 3] to float32 arrays."""
        answers = self(torch.from_numpy(images).to(self.mean.device), outputs)
        return {name: tensor.cpu().numpy() for name, tensor in answers.items()}

    def shapes(self, side: int) -> Mapping[str, tuple[int, ...]]:
        """Shape of each public output for one square image of `side` pixels."""
        probe = np.zeros((1, side, side, 3), dtype=np.uint8)
        return {name: value.shape[1:] for name, value in self.answer(probe, self.outputs).items()}
