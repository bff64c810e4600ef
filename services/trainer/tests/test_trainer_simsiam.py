"""SimSiam's loss against a loop, and its stopped gradient."""

import pytest
import torch
from torch import Generator

from latentprint.core.errors import UsageError
from latentprint.trainer.recipes.simsiam import SimpleSiamese


@pytest.fixture
def method():
    torch.manual_seed(3)
    return SimpleSiamese(projection_dim=12, prediction_dim=4).build(32, 0)


@pytest.fixture
def images():
    return torch.randint(0, 256, (5, 32, 32, 3), generator=Generator().manual_seed(7), dtype=torch.uint8)


@pytest.fixture
def views(method, images):
    generator = Generator().manual_seed(1)
    return [method.view(images, method.augmentation, generator, 32) for _ in range(2)]


def test_the_loss_against_a_loop(method, images, views):
    loss = method.loss(images, torch.zeros(5), Generator().manual_seed(1), 0.0)
    projected = [method.head(method.backbone(view)).detach() for view in views]
    expected = 0.0
    for view, other in ((0, 1), (1, 0)):
        for guess, target in zip(method.predictor(projected[view]).detach(), projected[other], strict=True):
            expected -= float(guess @ target / (guess.norm() * target.norm())) / 10
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_the_target_is_a_constant(method, images, views):
    """The loss has the gradient of a loss whose targets were computed apart, without gradients."""
    torch.autograd.backward(method.loss(images, torch.zeros(5), Generator().manual_seed(1), 0.0))
    found = [p.grad.clone() for p in method.parameters()]
    method.zero_grad()
    first, second = (method.head(method.backbone(view)) for view in views)
    with torch.no_grad():
        targets = [second.clone(), first.clone()]
    guesses = [method.predictor(first), method.predictor(second)]
    cosines = [
        (guess * target).sum(dim=1) / (guess.norm(dim=1) * target.norm(dim=1))
        for guess, target in zip(guesses, targets, strict=True)
    ]
    torch.autograd.backward(-torch.cat(cosines).mean())
    for gradient, parameter in zip(found, method.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-3, atol=1e-5)


def test_widths_that_cannot_be_are_refused():
    with pytest.raises(UsageError, match="prediction_dim must be at least 1"):
        SimpleSiamese(prediction_dim=0).build(32, 0)
