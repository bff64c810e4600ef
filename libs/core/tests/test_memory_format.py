"""Channels last where it is safe: a crash would take the process along, so it is provoked in one of its own."""

import subprocess
import sys

import pytest
import timm
import torch

from latentprint.core import architectures
from latentprint.core.memory_format import channels_last

STEPS = """
import sys, timm, torch
from latentprint.core import architectures
from latentprint.core.memory_format import channels_last
architectures.register()
torch.set_num_threads(1)
model = channels_last(timm.create_model("resnet56_cifar", num_classes=5, width=int(sys.argv[1]))).train()
for _ in range(3):
    torch.autograd.backward(model(torch.randn(10, 3, 16, 16)).square().mean())
"""


@pytest.mark.parametrize(("width", "last"), [(4, False), (7, False), (8, True), (16, True)])
def test_narrow_convolutions_stay_as_they_are(width: int, last: bool) -> None:
    architectures.register()
    model = timm.create_model("vgg16_cifar", num_classes=5, width=width)
    assert channels_last(model) is model
    weights = [p for p in model.parameters() if p.ndim == 4 and p.shape[1] > 1 and p.shape[2] > 1]
    assert all(p.is_contiguous(memory_format=torch.channels_last) == last for p in weights)


@pytest.mark.parametrize("width", [4, 8])
def test_a_narrow_network_learns_without_a_crash(width: int) -> None:
    done = subprocess.run([sys.executable, "-c", STEPS, str(width)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
