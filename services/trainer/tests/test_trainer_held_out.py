"""Adversarial regularisation and MMD with mix-up: their losses against loops, and that both shrink the gap."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Generator, nn
from torch.optim import Adam

from latentprint.core.errors import UsageError
from latentprint.core.split_files import read_split, write_split
from latentprint.trainer import DefenceSpec, make_plan, untrained
from latentprint.trainer.members import TrainingSamples
from latentprint.trainer.recipes.adv_reg import AdversarialRegularisation, MembershipNetwork, inference_gain
from latentprint.trainer.recipes.inner_adam import InnerAdam
from latentprint.trainer.recipes.mixup_mmd import MixUpMatching, counterparts, squared_mmd

PLAIN = {"crop_scale_from": 1.0, "flip": 0.0}
VECTORS = {**PLAIN, "architecture": "mlp", "architecture_options": {"hidden": [16]}}


def generator(seed=5):
    return Generator().manual_seed(seed)


@pytest.fixture
def vectors():
    return torch.randn(6, 4, generator=generator())


@pytest.fixture
def labels():
    return torch.tensor([0, 1, 2, 1, 0, 1])


@pytest.fixture
def held_out():
    return TrainingSamples(torch.randn(9, 4, generator=generator(6)), torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1]))


def method_of(recipe, held_out, **options):
    torch.manual_seed(3)
    method = recipe(**VECTORS, **options).for_vectors(4).build(0, 3)
    method.validation = held_out
    return method.train()


def test_squared_mmd_against_sums_of_kernels():
    first, second = (torch.randn(count, 3, generator=generator(count)).softmax(dim=1) for count in (4, 6))

    def mean(left, right):
        kernels = [math.exp(-sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / (2 * 0.5**2))
                   for x in left.tolist() for y in right.tolist()]  # fmt: skip
        return sum(kernels) / len(kernels)

    expected = mean(first, first) + mean(second, second) - 2 * mean(first, second)
    assert float(squared_mmd(first, second, 0.5)) == pytest.approx(expected, rel=1e-4)
    assert float(squared_mmd(first, first.flip(0), 0.5)) == pytest.approx(0, abs=1e-6)


def test_a_counterpart_has_the_class_and_each_comes_equally_often(held_out):
    labels = torch.tensor([0, 1, 2] * 2000)
    rows, matched = counterparts(labels, held_out.labels, generator())
    assert (matched == (labels != 2)).all()
    assert (held_out.labels[rows[matched]] == labels[matched]).all()
    taken = torch.bincount(rows[matched], minlength=9)
    expected = torch.where(held_out.labels == 0, 2000 / 4, 2000 / 5)
    assert ((taken - expected).abs() < 5 * expected.sqrt()).all()


def test_the_loss_of_mixtures_and_matching_against_a_loop(vectors, labels, held_out):
    method = method_of(MixUpMatching, held_out, mmd_weight=2.0, mmd_bandwidth=0.7)
    loss = method.loss(vectors, labels, generator(1), 0.0)
    drawing = generator(1)
    shares = torch.rand(6, generator=drawing)
    rows, matched = counterparts(labels, held_out.labels, drawing)
    expected = 0.0
    for i in range(6):
        share, after = float(shares[i]), (i + 1) % 6
        answer = method.backbone(share * vectors[i] + (1 - share) * vectors[after]).detach().log_softmax(dim=0)
        expected -= float(share * answer[labels[i]] + (1 - share) * answer[labels[after]]) / 6
    members = method.backbone(vectors[labels < 2]).softmax(dim=1).detach()
    others = method.backbone(held_out.images[rows[matched]]).softmax(dim=1).detach()
    assert loss.item() == pytest.approx(expected + 2 * float(squared_mmd(members, others, 0.7)), rel=1e-4)


def test_the_inner_adam_is_adam():
    torch.manual_seed(1)
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    inner, outer = InnerAdam(ours, 0.05), Adam(theirs.parameters(), lr=0.05)
    for step in range(5):
        gradients = [torch.randn(p.shape, generator=generator(step)) for p in theirs.parameters()]
        inner.step(gradients)
        for parameter, gradient in zip(theirs.parameters(), gradients, strict=True):
            parameter.grad = gradient
        outer.step()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine, other)
        assert not mine.requires_grad


def test_the_inference_network_and_the_classifier_learn_in_turn_against_a_loop(vectors, labels, held_out):
    method = method_of(AdversarialRegularisation, held_out, adversary_width=32, adversary_weight=0.5)
    network = MembershipNetwork(3, 32)
    network.load_state_dict(method.adversary.network.state_dict())
    rows = torch.randint(9, (6,), generator=generator(1))
    members, others = (method.backbone(x).softmax(dim=1).detach() for x in (vectors, held_out.images[rows]))
    optimiser = Adam(network.parameters(), lr=1e-3)
    gain = sum(torch.log(network(p[None], y[None]).sigmoid()) for p, y in zip(members, labels, strict=True)) / 12
    gain += sum(torch.log(1 - network(p[None], y[None]).sigmoid())
                for p, y in zip(others, held_out.labels[rows], strict=True)) / 12  # fmt: skip
    torch.autograd.backward(-gain.sum())
    optimiser.step()
    loss = method.loss(vectors, labels, generator(1), 0.0)
    for mine, other in zip(method.adversary.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
    expected = 0.0
    for posterior, label in zip(members, labels, strict=True):
        told = network(posterior[None], label[None]).sigmoid()
        expected += float((-posterior[label].log() + 0.5 * told.log()).detach()) / 6
    assert loss.item() == pytest.approx(expected, rel=1e-4)
    torch.autograd.backward(loss)
    assert all(p.grad is None for p in method.adversary.network.parameters())
    assert all(p.grad is not None for p in method.backbone.parameters())


def test_the_inference_network_learns_to_tell_members():
    torch.manual_seed(3)
    network = MembershipNetwork(3, 256)
    adam = InnerAdam(network, 3e-3)
    members, others = torch.eye(3)[torch.arange(60) % 3], torch.full((60, 3), 1 / 3)
    labels = torch.arange(60) % 3
    network.requires_grad_(True)
    for _ in range(100):
        gain = inference_gain(network(members, labels), network(others, labels))
        adam.step(torch.autograd.grad(-gain, list(network.parameters())))
    assert gain.item() > -0.05


@pytest.mark.parametrize("recipe", [AdversarialRegularisation, MixUpMatching])
def test_without_validation_samples_the_loss_says_so(recipe, vectors, labels):
    with pytest.raises(UsageError, match="there are none"):
        method_of(recipe, None).loss(vectors, labels, generator(), 0.0)


@pytest.mark.parametrize("defence", ["adv-reg", "mixup-mmd"])
def test_a_split_without_validation_samples_is_refused_and_the_twin_needs_none(
    defence, train_tiny, digits, split, tmp_path
):
    bare = replace(split, further={})
    with pytest.raises(UsageError, match="the split has none"):
        train_tiny("supervised", defences=[DefenceSpec(defence)], split=bare)
    plan = make_plan("supervised", {}, 1, [DefenceSpec(defence)])
    assert untrained(plan.recipe, {}, digits, bare, tmp_path / "twin").recipe == "untrained"


@pytest.mark.parametrize(
    ("defence", "options", "changed"),
    [
        ("adv-reg", {"weight": 2.0, "steps": 3}, {"adversary_weight": 2.0, "adversary_steps": 3}),
        ("mixup-mmd", {"weight": 2.0, "bandwidth": 0.5}, {"mmd_weight": 2.0, "mmd_bandwidth": 0.5}),
    ],
)
def test_a_defence_turns_the_supervised_recipe_into_a_variant_and_keeps_its_options(defence, options, changed):
    shared = {"architecture": "vgg16_cifar", "schedule": "steps", "flip": 0.0}
    plan = make_plan("supervised", shared, 10, [DefenceSpec(defence, options)])
    assert plan == replace(make_plan(defence, {**shared, **changed}, 10), of_recipe="supervised")
    with pytest.raises(UsageError, match="is a variant of 'supervised'; the recipe 'mae' has none"):
        make_plan("mae", {}, 10, [DefenceSpec(defence)])
    with pytest.raises(UsageError, match="weight"):
        make_plan("supervised", {}, 10, [DefenceSpec(defence, {"weight": 0.0})])


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        (AdversarialRegularisation, {"adversary_steps": 0}, "adversary_steps"),
        (AdversarialRegularisation, {"adversary_width": 8}, "adversary_width must be at least 16"),
        (MixUpMatching, {"mmd_bandwidth": 0.0}, "mmd_bandwidth"),
    ],
)
def test_options_that_do_not_fit_say_what_to_change(recipe, options, message):
    with pytest.raises(UsageError, match=message):
        recipe(**options).build(32, 3)


def accuracy_gap(method, held_out, members, epochs=150):
    """Training minus test accuracy of a classifier after so many steps on all members."""
    optimiser = method.optimiser()
    for step in range(epochs):
        optimiser.zero_grad()
        torch.autograd.backward(method.loss(members.images, members.labels, generator(step), 0.0))
        optimiser.step()
    method.eval()
    correct = [(method.backbone(s.images).argmax(dim=1) == s.labels).float().mean() for s in (members, held_out)]
    return float(correct[0] - correct[1])


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        (AdversarialRegularisation, {"adversary_weight": 4.0, "adversary_width": 256, "adversary_steps": 3}),
        (MixUpMatching, {"mmd_weight": 30.0}),
    ],
)
def test_the_gap_between_training_and_test_accuracy_shrinks(recipe, options):
    """Noisy labels on vectors: only memory can know those of the members."""
    rng = np.random.default_rng(2)
    samples = torch.from_numpy(rng.normal(size=(240, 4))).float()
    noisy = torch.from_numpy(np.where(rng.random(240) < 0.5, rng.integers(0, 3, 240), rng.integers(0, 2, 240)))
    classes = torch.where(samples[:, 0] > 0, noisy, (noisy + 1) % 3)
    parts = [TrainingSamples(samples[i : i + 80], classes[i : i + 80]) for i in (0, 80, 160)]
    shared = {"learning_rate": 0.1, "architecture_options": {"hidden": [128]}}
    gaps = []
    for kind, changes in ((recipe, options), (recipe, {**options, **_none(options)})):
        torch.manual_seed(3)
        method = kind(**{**VECTORS, **shared, **changes}).for_vectors(4).build(0, 3).train()
        method.validation = parts[1]
        gaps.append(accuracy_gap(method, parts[2], parts[0]))
    assert gaps[0] < gaps[1] - 0.03


def _none(options):
    return {name: 0.0 for name in options if name.endswith("_weight")}


def test_validation_samples_travel_with_the_split_and_change_the_weights(train_tiny, split, tmp_path):
    write_split(split, tmp_path / "split.parquet")
    again = read_split(tmp_path / "split.parquet")
    card = train_tiny("supervised", "first", defences=[DefenceSpec("mixup-mmd")], epochs=1, split=again)
    assert (card.recipe, card.training["of_recipe"]) == ("mixup-mmd", "supervised")
    other = replace(split, further={"validation": split.validation[:15]})
    fewer = train_tiny("supervised", "second", defences=[DefenceSpec("mixup-mmd")], epochs=1, split=other)
    assert fewer.weights_digest != card.weights_digest
