"""SwAV's loss against a loop, and its assignments against optimal transport done slowly."""

import math

import pytest
import torch
from torch import Generator

from latentprint.core.errors import UsageError
from latentprint.trainer.recipes.swav import SwappedAssignments

IMAGES, PROTOTYPES = 5, 3


def method_of(**options):
    torch.manual_seed(3)
    return SwappedAssignments(prototypes=PROTOTYPES, projection_dim=6, epsilon=0.1, **options).build(32, 0)


@pytest.fixture
def images():
    return torch.randint(0, 256, (IMAGES, 32, 32, 3), generator=Generator().manual_seed(7), dtype=torch.uint8)


def assigned(scores, epsilon, iterations):
    """Shares of each image in each prototype: rows and columns scaled in turns, columns last."""
    table = [[math.exp(scores[i][k] / epsilon) for i in range(IMAGES)] for k in range(PROTOTYPES)]
    for _ in range(iterations):
        table = [[value / sum(row) / PROTOTYPES for value in row] for row in table]
        sums = [sum(row[i] for row in table) for i in range(IMAGES)]
        table = [[value / total / IMAGES for value, total in zip(row, sums, strict=True)] for row in table]
    return [[IMAGES * table[k][i] for k in range(PROTOTYPES)] for i in range(IMAGES)]


def log_softmax(values):
    total = math.log(sum(math.exp(value) for value in values))
    return [value - total for value in values]


@pytest.mark.parametrize("local_views", [0, 2])
def test_the_loss_against_a_loop(local_views, images):
    method = method_of(local_views=local_views)
    loss = method.loss(images, torch.zeros(IMAGES), Generator().manual_seed(1), 0.0)
    generator = Generator().manual_seed(1)
    wide = [method.view(images, method.augmentation, generator, 32) for _ in range(2)]
    narrow = [method.view(images, method.local_augmentation, generator, 16) for _ in range(local_views)]
    scores = []
    for views in filter(None, (wide, narrow)):
        projected = method.head(method.backbone(torch.cat(views))).detach().double()
        unit = [row / row.norm() for row in projected]
        cosines = [[float(row @ prototype) for prototype in method.prototypes.detach().double()] for row in unit]
        scores += [cosines[v * IMAGES : (v + 1) * IMAGES] for v in range(len(views))]
    expected = 0.0
    for large in range(2):
        shares = assigned(scores[large], 0.1, 3)
        for other in set(range(len(scores))) - {large}:
            for share, row in zip(shares, scores[other], strict=True):
                likelihoods = log_softmax([value / 0.1 for value in row])
                cross = sum(s * value for s, value in zip(share, likelihoods, strict=True))
                expected -= cross / IMAGES / (len(scores) - 1) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_prototypes_are_trained_and_stay_unit_vectors(images):
    method = method_of()
    optimiser = method.optimiser()
    before = method.prototypes.detach().clone()
    for seed in range(3):
        loss = method.loss(images, torch.zeros(IMAGES), Generator().manual_seed(seed), 0.0)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        method.after_step(0.0)
        torch.testing.assert_close(method.prototypes.norm(dim=1), torch.ones(PROTOTYPES))
    assert (method.prototypes != before).all()


@pytest.mark.parametrize("options", [{"epsilon": 0.01}, {"temperature": 0.0}, {"prototypes": 1}, {"local_views": -1}])
def test_options_that_do_not_fit_say_what_to_change(options):
    with pytest.raises(UsageError, match=f"recipe 'swav': .*{next(iter(options))}"):
        SwappedAssignments(**options).build(32, 0)
