"""Classifiers: architectures by name, the papers' step decay, no augmentation, and how well they do themselves."""

import numpy as np
import pytest
import torch
from torch import Generator

from latentprint.core.bundles import open_bundle
from latentprint.core.errors import UsageError
from latentprint.trainer import DefenceSpec, make_plan
from latentprint.trainer.private_update import record_gradients, require_per_record
from latentprint.trainer.recipes.base import backbone_input
from latentprint.trainer.recipes.supervised import Supervised
from latentprint.trainer.schedule import StepDecay, WarmupCosine, step_decay, warmup_cosine

IMAGES = ("resnet18_cifar", "resnet56_cifar", "vgg16_cifar", "wrn32_4_cifar", "mobilenetv2_cifar")
NARROW = {"architecture_options": {"width": 8}}
PAPERS = {"schedule": "steps", "warmup": 0.0, "crop_scale_from": 1.0, "flip": 0.0}


@pytest.fixture
def images():
    return torch.randint(0, 256, (5, 16, 16, 3), generator=Generator().manual_seed(7), dtype=torch.uint8)


@pytest.fixture
def labels():
    return torch.arange(5) % 3


class Log:
    def __init__(self):
        self.metrics = {}

    def log_params(self, params):
        self.params = params

    def log_metrics(self, metrics, step=0):
        self.metrics.setdefault(step, {}).update(metrics)

    def log_input(self, what, context):
        pass


@pytest.mark.parametrize("architecture", IMAGES)
def test_every_architecture_trains_and_its_bundle_opens(architecture, train_tiny, digits, split, tmp_path):
    card = train_tiny("supervised", epochs=1, options={"architecture": architecture, **NARROW})
    assert np.isfinite(card.training["loss"])
    encoder, _ = open_bundle(tmp_path / "victim")
    answers = encoder.answer(digits.open().images(split.sample_id[:3]), card.outputs)
    np.testing.assert_allclose(answers["posterior"].sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("architecture", IMAGES)
def test_the_gradient_of_a_record_is_its_own_with_every_architecture(architecture, images, labels):
    options = {"architecture": architecture, **NARROW}
    plan = make_plan("supervised", options, 1, [DefenceSpec("dp-sgd", {"noise_multiplier": 1.0})])
    torch.manual_seed(3)
    method = require_per_record(plan.options.build(16, 3).train(), "supervised")
    trained = dict(method.named_parameters())
    prepared = method.prepare(images, labels, Generator().manual_seed(1), 0.0)
    gradients, losses = record_gradients(method, trained, prepared)
    for row in (0, 4):
        method.zero_grad(set_to_none=True)
        alone = method(**{key: value[row : row + 1] for key, value in prepared.items()})
        torch.autograd.backward(alone)
        torch.testing.assert_close(losses[row], alone[0].detach(), rtol=1e-4, atol=1e-5)
        expected = torch.cat([p.grad.flatten() for p in trained.values()])
        own = torch.cat([gradients[name][row].flatten() for name in trained])
        assert (own - expected).norm() < 1e-4 * expected.norm()


def test_a_perceptron_is_trained_on_vectors_alone():
    options = Supervised(architecture="mlp", architecture_options={"hidden": [7, 5]}, crop_scale_from=1.0, flip=0.0)
    fitted = options.for_vectors(9)
    method = fitted.build(0, 3)
    vectors = torch.randn(4, 9, generator=Generator().manual_seed(1))
    assert method.model_args == {"num_classes": 3, "hidden": [7, 5], "in_features": 9}
    assert method(vectors, torch.arange(4) % 3).shape == (4,)
    with pytest.raises(UsageError, match="takes vectors"):
        options.build(32, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"architecture": "vgg16_cifar"}, "'vgg16_cifar' takes images; for vectors set it to 'mlp'"),
        ({"architecture": "mlp"}, "neither cropped nor flipped"),
        (
            {"architecture": "mlp", "crop_scale_from": 1.0, "flip": 0.0, "architecture_options": {"in_features": 8}},
            "in_features must be 9",
        ),
    ],
)
def test_options_that_do_not_fit_vectors_say_what_to_change(options, message):
    with pytest.raises(UsageError, match=message):
        Supervised(**options).for_vectors(9)


@pytest.mark.parametrize(
    ("architecture", "options", "message"),
    [
        ("vgg16_cifar", {"widht": 8}, "Unknown architecture option of 'vgg16_cifar' 'widht'. Did you mean 'width'"),
        ("vgg16_cifar", {"hidden": 8}, "Known: width"),
        ("wrn32_4_cifar", {"width": 12}, "multiple of 8, not 12"),
        ("resnet56_cifar", {"width": 0}, "positive whole number, not 0"),
        ("resnet56_cifar", {"width": True}, "positive whole number, not True"),
        ("mlp", {"hidden": [8, -1]}, r"positive whole number, not \[8, -1\]"),
        ("mlp", {"hidden": []}, "positive whole number"),
    ],
)
def test_architecture_options_that_cannot_be_are_refused(architecture, options, message):
    with pytest.raises(UsageError, match=message):
        Supervised(architecture=architecture, architecture_options=options).build(0, 3)


def test_the_step_decay_against_a_loop():
    factor, seen = 1.0, []
    for step in range(100):
        if step and step % 15 == 0:
            factor *= 0.9
        seen.append(factor)
    assert [step_decay(step, 15, 0, 0.9) for step in range(100)] == pytest.approx(seen)
    assert [StepDecay(0.0).factor(step, 100, 3) for step in range(100)] == pytest.approx(seen)
    warm = [StepDecay(0.1).factor(step, 100, 3) for step in range(100)]
    assert warm[:11] == pytest.approx([*[(step + 1) / 10 for step in range(10)], 1.0])
    assert warm[11:] == pytest.approx(seen[11:])


def test_the_papers_schedule_is_followed_and_the_usual_one_is_as_it_was(train_tiny):
    log = Log()
    options = {**PAPERS, "learning_rate": 0.01, "batch_size": 20}
    train_tiny("supervised", "papers", epochs=12, evaluate_every=12, tracker=log, options=options)
    rates = [log.metrics[epoch]["learning_rate"] for epoch in range(1, 13)]
    assert rates == pytest.approx([0.01 * 0.9 ** ((epoch - 1) // 5) for epoch in range(1, 13)])
    assert Supervised().rates == WarmupCosine(0.05)
    assert [WarmupCosine(0.1).factor(s, 60, 3) for s in range(60)] == [warmup_cosine(s, 60, 6) for s in range(60)]


def test_without_augmentation_a_view_is_exactly_the_image(images, labels):
    method = Supervised(crop_scale_from=1.0, flip=0.0).build(16, 3)
    prepared = method.prepare(images, labels, Generator().manual_seed(1), 0.0)
    assert (prepared["view"] == backbone_input(images)).all()


def test_the_card_tells_how_well_the_classifier_does_itself(train_tiny, digits, split, tmp_path):
    log = Log()
    options = {**PAPERS, "architecture": "vgg16_cifar", "architecture_options": {"width": 8}}
    card = train_tiny("supervised", epochs=25, evaluate_every=10, tracker=log, options=options)
    encoder, _ = open_bundle(tmp_path / "victim")
    data = digits.open()
    for member, name in ((True, "train_accuracy"), (False, "test_accuracy")):
        ids = split.ids(member=member)
        answered = encoder.answer(data.images(ids), ["posterior"])["posterior"].argmax(axis=1)
        expected = np.mean([a == b for a, b in zip(answered, data.labels["class"][ids], strict=True)])
        assert card.training[name] == log.metrics[25][name] == pytest.approx(expected)
    assert card.training["train_accuracy"] == 1.0
    assert card.training["test_accuracy"] < 0.9
    assert {"train_accuracy", "test_accuracy"} <= card.training["history"][0].keys()


def test_an_encoder_without_a_posterior_has_no_accuracy_of_its_own(train_tiny):
    assert "train_accuracy" not in train_tiny("moco", epochs=1).training
