"""Convolutions that stack well where their maps are small."""

from torch import Tensor, nn
from torch.nn import functional

_POSITIONS = 4


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
