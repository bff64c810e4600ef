"""Talos: its loss against a loop, a gradient that comes back reversed, and what it unlearns."""

import pytest
import torch
from torch import Generator, nn
from torch.nn.functional import cross_entropy
from torch.optim import Adam

from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import UsageError
from latentprint.core.splits import draw_split, split_by_membership
from latentprint.trainer import DefenceSpec, make_plan, train
from latentprint.trainer.recipes.simclr import SimpleContrast
from latentprint.trainer.recipes.talos import Talos, reversed_gradient

SIDE = 16
SHOWN = DatasetSpec("composites", {"count": 200, "side": SIDE, "classes": 4})


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.randint(0, 256, (6, SIDE, SIDE, 3), generator=Generator().manual_seed(7), dtype=torch.uint8)
    return images, torch.tensor([0, 1, 2, 1, 0, 1])


def built(recipe: SimpleContrast) -> nn.Module:
    torch.manual_seed(3)
    return recipe.build(SIDE, 3).train()


def test_a_reversed_gradient_leaves_the_values_and_turns_the_slope():
    values = torch.tensor([1.5, -2.0], requires_grad=True)
    passed = reversed_gradient(values, 5.0)
    torch.testing.assert_close(passed, values)
    (passed * torch.tensor([1.0, 2.0])).sum().backward()
    assert values.grad.tolist() == [-5.0, -10.0]


def test_the_head_learns_first_and_then_judges_the_encoder_against_a_loop(batch):
    images, attribute = batch
    method = built(Talos(temperature=0.3, adversary_steps=2, adversary_learning_rate=0.01))
    plain = built(SimpleContrast(temperature=0.3, projection_dim=256))
    head = built(Talos(temperature=0.3)).adversary.network.requires_grad_(True)
    contrast = plain.loss(images, attribute, Generator().manual_seed(1), 0.0)
    embeddings = built(Talos()).embeddings(images, Generator().manual_seed(1)).detach()
    told, optimiser = torch.cat([attribute, attribute]), Adam(head.parameters(), lr=0.01)
    for _ in range(2):
        optimiser.zero_grad()
        cross_entropy(head(embeddings), told).backward()
        optimiser.step()
    expected = contrast + cross_entropy(head(embeddings), told)
    loss = method.loss(images, attribute, Generator().manual_seed(1), 0.0)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for mine, other in zip(method.adversary.network.parameters(), head.parameters(), strict=True):
        torch.testing.assert_close(mine, other)


def test_the_encoder_climbs_what_the_head_descends_by_its_strength(batch):
    """The gradient at the backbone is that of InfoNCE less `strength` times that of the head's cross-entropy."""

    def slope(strength: float) -> torch.Tensor:
        method = built(Talos(temperature=0.3, strength=strength))
        method.loss(*batch, Generator().manual_seed(1), 0.0).backward()
        assert all(parameter.grad is None for parameter in method.adversary.parameters())
        return torch.cat([parameter.grad.flatten() for parameter in method.backbone.parameters()])

    contrast, once, fivefold = slope(0.0), slope(1.0), slope(5.0)
    torch.testing.assert_close(fivefold - contrast, 5 * (once - contrast), rtol=1e-3, atol=1e-4)
    assert (once - contrast).norm() > 0.01 * contrast.norm()


def test_the_defence_is_simclr_with_its_own_options_and_the_reversal():
    plan = make_plan("simclr", {"temperature": 0.5}, 3, [DefenceSpec("talos", {"attribute": "race", "strength": 10})])
    assert (plan.recipe, plan.of_recipe) == ("talos", "simclr")
    assert plan.options == Talos(temperature=0.5, projection_dim=64, attribute="race", strength=10.0)
    for recipe, options, message in [
        ("moco", {}, "'talos' is a variant of 'simclr'; the recipe 'moco' has none"),
        ("simclr", {"strength": 0.0}, "strength must be above 0, not 0.0"),
    ]:
        with pytest.raises(UsageError, match=message):
            make_plan(recipe, {}, 3, [DefenceSpec("talos", options)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strength": -1.0}, "strength must not be negative"),
        ({"adversary_steps": 0}, "adversary_steps be at least 1"),
        ({"temperature": 0.0}, "temperature must be above 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        Talos(**options).build(SIDE, 3)


def test_an_attribute_that_is_not_there_or_shows_nothing_is_refused_before_training(tmp_path):
    dataset = SHOWN.open()
    split = draw_split(dataset, members=20, non_members=20, seed=1)
    with pytest.raises(UsageError, match=r"Unknown attribute .race..*sensitive"):
        train("talos", {"attribute": "race"}, SHOWN, split, tmp_path / "one", epochs=1)
    digits = DatasetSpec("digits")
    with pytest.raises(UsageError, match="'digits' has no attributes"):
        train("talos", {}, digits, draw_split(digits.open(), members=20, non_members=20, seed=1), tmp_path, epochs=1)
    belts = split_by_membership(dataset, dataset.labels["sensitive"] == 1, seed=1)
    with pytest.raises(UsageError, match=r"'sensitive' is 'belt' for all .* samples that are trained on"):
        train("talos", {}, SHOWN, belts, tmp_path / "two", epochs=1)
    assert not list(tmp_path.iterdir())
