"""Every recipe's loss and gradients in bf16, as a GPU would compute them."""

import pytest
import torch
from torch import Generator

from latentprint.trainer import RECIPES
from latentprint.trainer.members import TrainingSamples


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES.names())
def test_a_loss_in_bf16_is_finite_and_near_that_in_full_precision(name, tiny_options):
    images = torch.randint(0, 256, (6, 32, 32, 3), generator=Generator().manual_seed(7), dtype=torch.uint8)
    labels = torch.arange(6) % 3
    losses = []
    for low in (False, True):
        with torch.random.fork_rng():
            torch.manual_seed(3)
            method = RECIPES.get(name)(**tiny_options(name)).build(32, 3).train()
        method.validation = TrainingSamples(images.flip(0), labels)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            loss = method.loss(images, labels, Generator().manual_seed(1), 0.25)
        assert loss.dtype == torch.float32
        torch.autograd.backward(loss)
        gradients = [p.grad for p in method.parameters() if p.grad is not None]
        assert all(torch.isfinite(gradient).all() for gradient in gradients)
        assert any(gradient.abs().sum() > 0 for gradient in gradients)
        losses.append(loss.item())
    assert losses[1] == pytest.approx(losses[0], rel=0.1, abs=0.02)
