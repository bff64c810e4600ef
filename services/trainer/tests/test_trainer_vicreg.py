"""VICReg's loss against a loop."""

import math

import pytest
import torch
from torch import Generator

from latentprint.core.errors import UsageError
from latentprint.trainer.recipes.vicreg import VarianceInvarianceCovariance


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def covariances(rows):
    """Unbiased covariances of the columns of a list of lists."""
    columns = [[x - mean(column) for x in column] for column in zip(*rows, strict=True)]
    return [[sum(x * y for x, y in zip(a, b, strict=True)) / (len(rows) - 1) for b in columns] for a in columns]


def test_the_loss_against_a_loop():
    torch.manual_seed(3)
    options = VarianceInvarianceCovariance(invariance=7.0, variance=5.0, covariance=3.0, expander_dim=4)
    method = options.build(32, 0)
    images = torch.randint(0, 256, (5, 32, 32, 3), generator=Generator().manual_seed(7), dtype=torch.uint8)
    loss = method.loss(images, torch.zeros(5), Generator().manual_seed(1), 0.0)
    generator = Generator().manual_seed(1)
    views = [method.view(images, method.augmentation, generator, 32) for _ in range(2)]
    first, second = (method.head(method.backbone(view)).tolist() for view in views)
    expected = 7.0 * mean((a - b) ** 2 for r, s in zip(first, second, strict=True) for a, b in zip(r, s, strict=True))
    for rows in (first, second):
        table = covariances(rows)
        expected += 5.0 * mean(max(0.0, 1 - math.sqrt(table[d][d] + 1e-4)) for d in range(4)) / 2
        expected += 3.0 * sum(table[d][e] ** 2 for d in range(4) for e in range(4) if d != e) / 4
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_a_negative_weight_is_refused():
    with pytest.raises(UsageError, match="must not be negative"):
        VarianceInvarianceCovariance(covariance=-1.0).build(32, 0)
