"""Snapshots evaluated together: one pass over stacked weights instead of one pass a snapshot."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.fx.experimental.optimization import fuse
from torch.fx.proxy import TraceError
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from latentprint.attack_engine.models.snapshots import State
from latentprint.attack_engine.models.student import Student

Weights = dict[str, Tensor]
_POSITIONS = 4  # of an output map, up to which a convolution is a product of matrices


@dataclass(frozen=True)
class Chunk:
    """How much is evaluated at once.

    Attributes:
        samples: of one pass; memory grows with `samples` times `snapshots`.
        snapshots: stacked in one pass.
        together: the largest number of samples whose pass is stacked on a CPU, where more samples keep it busy with one
            snapshot after another; a GPU stacks always.
    """

    samples: int = 256
    snapshots: int = 64
    together: int = 8


class StackedSnapshots:
    """Snapshots of one student, always in eval mode, so that an answer never depends on the samples beside it.

    Batch norms are folded into the convolutions before them where the architecture can be traced.

    Args:
        student: of the snapshots' architecture; its own weights do not matter and are overwritten.
        states: one state a snapshot, in order.
        chunk: how much at once.
    """

    def __init__(self, student: Student, states: Sequence[State], chunk: Chunk | None = None) -> None:
        self._student = student.eval()
        self._chunk = chunk or Chunk()
        self._models = [self._frozen(state) for state in states]
        self._on_gpu = next(student.parameters()).is_cuda

    @torch.inference_mode()
    def answers(self, samples: Tensor) -> Iterator[Tensor]:
        """Answers of all snapshots, chunk by chunk of `samples` (uint8 [B, H, W, 3] or float32 [B, F]).

        Yields:
            float32 [T, b, ...] for the next b samples: logits, embeddings or spatial tokens.
        """
        device = next(self._student.parameters()).device
        stacked = self._on_gpu or len(samples) <= self._chunk.together
        for start in range(0, len(samples), self._chunk.samples):
            inputs = self._student.inputs(samples[start : start + self._chunk.samples].to(device))
            yield self._together(inputs) if stacked else self._in_turn(inputs)

    def _together(self, inputs: Tensor) -> Tensor:
        one = vmap(partial(functional_call, self._shell), in_dims=((0, 0), None))
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernels cannot be stacked
            return torch.cat([one(stack, (inputs,)).float() for stack in self._stacks])

    @cached_property
    def _shell(self) -> nn.Module:
        """The architecture that stacked weights are called with; its own weights do not matter."""
        shell = copy.deepcopy(self._models[0])
        StackableConv2d.substitute(shell)
        return shell

    @cached_property
    def _stacks(self) -> list[tuple[Weights, Weights]]:
        """Parameters and buffers of as many snapshots as go into one pass."""
        step = self._chunk.snapshots
        groups = [self._models[start : start + step] for start in range(0, len(self._models), step)]
        return [(_stacked(group, "named_parameters"), _stacked(group, "named_buffers")) for group in groups]

    def _in_turn(self, inputs: Tensor) -> Tensor:
        return torch.stack([model(inputs).float() for model in self._models])

    def _frozen(self, state: State) -> nn.Module:
        self._student.load_state_dict(state)
        model = copy.deepcopy(self._student)
        try:
            return fuse(model).eval()
        except TraceError:  # control flow that depends on the input: the plain model gives the same answers
            return model.eval()


def _stacked(models: Sequence[nn.Module], kind: str) -> Weights:
    columns = [dict(getattr(model, kind)()) for model in models]
    return {name: torch.stack([column[name].detach().contiguous() for column in columns]) for name in columns[0]}


class StackableConv2d(nn.Conv2d):
    """A convolution that is a product of matrices where its output has at most four positions.

    Grouped convolutions, which stacked ones become, reorder all weights at every call; few positions never repay that.
    """

    @classmethod
    def substitute(cls, model: nn.Module) -> None:
        """Turn the plain convolutions of `model` into such; their weights stay where they are."""
        for module in model.modules():
            if type(module) is nn.Conv2d and module.groups == 1 and module.padding_mode == "zeros":
                module.__class__ = cls

    def forward(self, inputs: Tensor) -> Tensor:
        """`inputs` float32 [B, C, H, W] convolved: [B, C', H', W']."""
        if isinstance(self.padding, str):
            return super().forward(inputs)
        height, width = (
            (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
            for size, padding, dilation, kernel, stride in zip(
                inputs.shape[-2:], self.padding, self.dilation, self.kernel_size, self.stride, strict=True
            )
        )
        if height * width > _POSITIONS:
            return super().forward(inputs)
        patches = functional.unfold(inputs, self.kernel_size, self.dilation, self.padding, self.stride)
        rows = patches.transpose(1, 2).flatten(0, 1)
        answers = functional.linear(rows, self.weight.flatten(1), self.bias)
        return answers.view(len(inputs), height, width, self.out_channels).permute(0, 3, 1, 2).contiguous()
