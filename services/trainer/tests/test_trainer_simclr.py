"""SimCLR's loss against a loop."""

import math

import pytest
import torch
from torch import Generator

from latentprint.core.errors import UsageError
from latentprint.trainer.recipes.simclr import SimpleContrast


def test_the_loss_against_a_loop():
    torch.manual_seed(3)
    method = SimpleContrast(temperature=0.3, projection_dim=6).build(32, 0)
    images = torch.randint(0, 256, (5, 32, 32, 3), generator=Generator().manual_seed(7), dtype=torch.uint8)
    loss = method.loss(images, torch.zeros(5), Generator().manual_seed(1), 0.0)
    generator = Generator().manual_seed(1)
    views = torch.cat([method.view(images, method.augmentation, generator, 32) for _ in range(2)])
    rows = [row / row.norm() for row in method.head(method.backbone(views)).detach().double()]
    expected = 0.0
    for i, row in enumerate(rows):
        weights = {j: math.exp(float(row @ other) / 0.3) for j, other in enumerate(rows) if j != i}
        expected -= math.log(weights[(i + 5) % 10] / sum(weights.values())) / 10
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SimpleContrast(temperature=0.0), "temperature must be above 0"),
        (SimpleContrast(batch_size=3), "batch_size must be at least 4"),
        (SimpleContrast(rotation=-1.0), "rotation must not be negative"),
    ],
)
def test_options_that_do_not_fit_say_what_to_change(options, message):
    with pytest.raises(UsageError, match=message):
        options.build(32, 0)
