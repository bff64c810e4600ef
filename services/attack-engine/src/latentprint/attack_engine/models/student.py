"""The student: a fresh model of the adversary's choice that learns to answer as another model does."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from latentprint.attack_engine.evidence.needs import Output
from latentprint.core.encoders import Encoder
from latentprint.core.errors import UsageError
from latentprint.core.memory_format import channels_last
from latentprint.core.outputs import EMBEDDING, POSTERIOR

_MEAN, _STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


@dataclass(frozen=True)
class StudentSpec:
    """A student's architecture.

    Attributes:
        architecture: a name that timm knows, or one of latentprint's own.
        model_args: what `timm.create_model` needs beside it.
    """

    architecture: str
    model_args: Mapping[str, Any] = field(default_factory=dict)


class Student(nn.Module):
    """A student that answers one output, of the teacher's width: logits for "posterior".

    Args:
        spec: its architecture.
        output: what it answers.
        answer_shape: shape of the teacher's answer to one sample.
        sample_shape: (H, W, 3) or (F,).
        seed: of its initial weights.

    Raises:
        UsageError: an unknown architecture, or one that does not give this output.
    """

    def __init__(
        self,
        spec: StudentSpec,
        output: Output,
        answer_shape: tuple[int, ...],
        sample_shape: tuple[int, ...],
        seed: int,
    ) -> None:
        import timm  # here and not above: only who makes a student waits for it

        from latentprint.core import architectures

        super().__init__()
        architectures.register()
        if not timm.is_model(spec.architecture):
            raise UsageError(
                f"The architecture {spec.architecture!r} of the student is not known: name one that timm has."
            )
        arguments = dict(spec.model_args)
        if output == POSTERIOR:
            arguments["num_classes"] = answer_shape[-1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model: Any = timm.create_model(spec.architecture, **arguments)
            self.head = self._new_head(output, answer_shape[-1])
        channels_last(self.model)
        self.output = output
        images = len(sample_shape) == 3
        # Borrowed for its way of preparing samples; in a list, so that it is no part of this module.
        self._encoder = [Encoder(self.model, (output,), _MEAN if images else None, _STD if images else None)]
        self.train()

    def _at(self, device: torch.device) -> Encoder:
        """The encoder, which no move of this module takes along."""
        return self._encoder[0].to(device)

    def _new_head(self, output: Output, width: int) -> nn.Module:
        own = int(self.model.num_features)
        return nn.Identity() if output == POSTERIOR or own == width else nn.Linear(own, width)

    def encoder(self) -> Encoder:
        """The student as an encoder that answers its output, for asking it about whole samples."""
        return self._at(next(self.parameters()).device).eval()

    def inputs(self, samples: Tensor) -> Tensor:
        """Samples uint8 [B, H, W, 3] or float32 [B, F] as the model takes them."""
        return self._at(samples.device).normalised(samples)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits [B, C], embeddings [B, D] or spatial tokens [B, N, D] of prepared samples."""
        features = self.model.forward_features(inputs)
        if self.output == POSTERIOR:
            answer: Tensor = self.model.forward_head(features)
        elif self.output == EMBEDDING:
            answer = self.head(self.model.forward_head(features, pre_logits=True))
        else:
            answer = self.head(self._encoder[0].spatial_tokens(features))
        return answer


def placed(student: Student) -> Student:
    """The student on a GPU, where this process has one."""
    return student.to("cuda" if torch.cuda.is_available() else "cpu")
