"""MixCo's loss against a loop, and its mixtures pixel by pixel."""

import math

import pytest
import torch
from torch import Generator
from torch.nn.functional import normalize

from latentprint.core.errors import UsageError
from latentprint.trainer.recipes.mixco import MixUpContrast, mixed_info_nce

IMAGES = 5


@pytest.fixture
def method():
    torch.manual_seed(3)
    return MixUpContrast(queue=7, projection_dim=6, mix_weight=0.5, mix_temperature=0.3).build(32, 0)


@pytest.fixture
def images():
    return torch.randint(0, 256, (IMAGES, 32, 32, 3), generator=Generator().manual_seed(7), dtype=torch.uint8)


def cross_entropy(query, references, shares, temperature):
    """Of the softmax over `references` with `shares`, a mapping from place to share."""
    weights = [math.exp(float(query @ reference) / temperature) for reference in references]
    return -sum(share * math.log(weights[place] / sum(weights)) for place, share in shares.items())


def test_mixed_info_nce_against_a_loop():
    generator = Generator().manual_seed(5)
    queries, keys, negatives = (normalize(torch.randn(n, 8, generator=generator), dim=1) for n in (4, 4, 6))
    shares = torch.rand(4, generator=generator)
    references = [*keys, *negatives]
    expected = sum(
        cross_entropy(query, references, {i: float(shares[i]), (i + 1) % 4: 1 - float(shares[i])}, 0.2) / 4
        for i, query in enumerate(queries)
    )
    assert float(mixed_info_nce(queries, keys, negatives, shares, 0.2)) == pytest.approx(expected, rel=1e-5)


def test_a_mixture_is_of_an_image_and_the_next(method):
    views = torch.rand(IMAGES, 3, 4, 4, generator=Generator().manual_seed(5))
    shares = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    mixtures = method.mixtures(views, shares)
    for i, share in enumerate(shares.tolist()):
        torch.testing.assert_close(mixtures[i], share * views[i] + (1 - share) * views[(i + 1) % IMAGES])


def test_the_loss_is_mocos_and_the_mixtures_by_its_weight(method, images):
    remembered = method.queue.keys.clone()
    loss = method.loss(images, torch.zeros(IMAGES), Generator().manual_seed(1), 0.0)
    generator = Generator().manual_seed(1)
    first, second = (method.view(images, method.augmentation, generator, 32) for _ in range(2))
    shares = torch.rand(IMAGES, generator=generator)
    keys = normalize(method.key_head(method.key_backbone(second)), dim=1).detach()
    queries = normalize(method.head(method.backbone(first)), dim=1).detach()
    mixed = normalize(method.head(method.backbone(method.mixtures(first, shares))), dim=1).detach()
    expected = 0.0
    for i in range(IMAGES):
        share = float(shares[i])
        expected += cross_entropy(queries[i], [keys[i], *remembered], {0: 1.0}, 0.1)
        expected += 0.5 * cross_entropy(mixed[i], [*keys, *remembered], {i: share, (i + 1) % IMAGES: 1 - share}, 0.3)
    assert loss.item() == pytest.approx(expected / IMAGES, rel=1e-4)
    torch.testing.assert_close(method.queue.keys[:IMAGES], keys)


@pytest.mark.parametrize("options", [{"mix_weight": -1.0}, {"mix_temperature": 0.0}, {"queue": 0}])
def test_options_that_do_not_fit_say_what_to_change(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        MixUpContrast(**options).build(32, 0)
