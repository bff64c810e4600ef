"""The parts of the recipes against slow and plain versions of themselves."""

import math
from copy import deepcopy
from itertools import pairwise

import pytest
import torch
from lightly.loss import DINOLoss
from lightly.models.utils import normalize_mean_var
from torch.nn.functional import normalize

from latentprint.core.errors import UsageError
from latentprint.trainer.members import TrainingSamples
from latentprint.trainer.recipes import RECIPES
from latentprint.trainer.recipes.base import backbone_input, normalised
from latentprint.trainer.recipes.dino import SelfDistillation, distillation
from latentprint.trainer.recipes.mae import MaskedAutoencoder
from latentprint.trainer.recipes.moco import KeyQueue, MomentumContrast, info_nce
from latentprint.trainer.recipes.patches import patch_orders, pixel_targets
from latentprint.trainer.recipes.supervised import Supervised
from latentprint.trainer.recipes.vit import patches_of
from latentprint.trainer.schedule import cosine_rise, warmup_cosine

SMALL_VIT = {"embed_dim": 32, "depth": 1, "heads": 2}
CORNERS = [(top, left) for top in range(0, 32, 8) for left in range(0, 32, 8)]
IMAGES = 6


@pytest.fixture
def labels():
    return torch.arange(6) % 3


def test_masks_are_drawn_for_each_image_and_each_step(generator):
    orders = patch_orders(200, 16, generator)
    assert (orders.sort(dim=1).values == torch.arange(16)).all()
    assert len({tuple(row) for row in orders[:, :4].tolist()}) > 190
    kept = torch.bincount(orders[:, :4].flatten(), minlength=16)
    assert ((kept - 50).abs() < 35).all(), "every patch is seen about equally often"
    assert (patch_orders(200, 16, generator) != orders).any()


def test_patches_are_cut_row_by_row(images):
    patches = patches_of(images, 8)
    for place in range(16):
        top, left = 8 * (place // 4), 8 * (place % 4)
        assert (patches[:, place].view(6, 8, 8, 3) == images[:, top : top + 8, left : left + 8]).all()


def test_with_everything_kept_the_masked_encoder_is_the_published_one(images, generator):
    method = MaskedAutoencoder(**SMALL_VIT).build(32, 0)
    order = patch_orders(6, 16, generator)
    rows = torch.arange(6).unsqueeze(1)
    encoded = method.encode(normalised(patches_of(images, 8)[rows, order]), order)
    expected = method.published().forward_features(backbone_input(images))
    torch.testing.assert_close(encoded, expected[rows, order], atol=1e-5, rtol=1e-5)


def test_the_masked_autoencoders_loss_against_a_loop(images, labels, monkeypatch):
    method = MaskedAutoencoder(**SMALL_VIT, flip=0.0).build(32, 0)
    orders = patch_orders(6, 16, torch.Generator().manual_seed(1))
    monkeypatch.setattr("latentprint.trainer.recipes.patches.patch_orders", lambda *_: orders)
    loss = method.loss(images, labels, torch.Generator(), 0.0)
    errors = []
    for image, order in zip(normalised(images), orders, strict=True):
        cut = torch.stack([image[top : top + 8, left : left + 8].flatten() for top, left in CORNERS])
        seen = method.encode(cut[order[:4]].view(1, 4, 64, 3), order[None, :4])
        predicted = method.decoder(seen, order[None])[0]
        for guess, patch in zip(predicted, cut[order[4:]], strict=True):
            target = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            errors.append((guess - target).square().mean())
    assert loss.item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-5)


def test_pixel_targets_are_lightlys_of_flat_patches_too(generator):
    patches = torch.rand(6, 5, 192, generator=generator) * torch.logspace(-4, 1, 5)[:, None]
    patches[0, 0] = 0.5
    torch.testing.assert_close(pixel_targets(patches), normalize_mean_var(patches), atol=1e-4, rtol=1e-4)


def test_the_masked_patches_never_reach_the_prediction(images, labels, generator):
    """Gradients of the predictions are zero in the pixels of every masked patch, and not in the seen ones."""
    method = MaskedAutoencoder(**SMALL_VIT).build(32, 0)
    order = patch_orders(6, 16, generator)
    pixels = normalised(patches_of(images, 8)).requires_grad_()
    shuffled = pixels[torch.arange(6).unsqueeze(1), order]
    predicted = method.decoder(method.encode(shuffled[:, :4], order[:, :4]), order)
    torch.autograd.backward(predicted.square().sum())
    moved = pixels.grad.abs().sum(dim=(2, 3)) > 0  # [B, N]
    assert (moved.gather(1, order[:, :4])).all()
    assert not moved.gather(1, order[:, 4:]).any()


def test_info_nce_against_a_loop(generator):
    queries, keys, negatives = (normalize(torch.randn(n, 8, generator=generator), dim=1) for n in (4, 4, 5))
    expected = 0.0
    for query, key in zip(queries, keys, strict=True):
        positive = math.exp(float(query @ key) / 0.2)
        others = sum(math.exp(float(query @ negative) / 0.2) for negative in negatives)
        expected -= math.log(positive / (positive + others)) / 4
    assert float(info_nce(queries, keys, negatives, 0.2)) == pytest.approx(expected, rel=1e-5)


def test_the_queue_is_first_in_first_out_whatever_the_batches():
    queue = KeyQueue(5, 1)
    seen = []
    for start, size in ((0, 3), (3, 3), (6, 1), (7, 4), (11, 7)):
        batch = torch.arange(start, start + size, dtype=torch.float32).unsqueeze(1)
        queue.push(batch)
        seen += batch.flatten().tolist()
        if len(seen) >= 5:
            assert sorted(queue.keys.flatten().tolist()) == seen[-5:]


def test_moco_contrasts_with_keys_of_earlier_batches_only(images, labels, generator):
    method = MomentumContrast(queue=12).build(32, 0)
    before = method.queue.keys.clone()
    torch.testing.assert_close(before.norm(dim=1), torch.ones(12))
    torch.autograd.backward(method.loss(images, labels, generator, 0.0))
    after = method.queue.keys
    assert (after[:6] != before[:6]).any()
    assert (after[6:] == before[6:]).all()
    torch.testing.assert_close(after.norm(dim=1), torch.ones(12))
    assert all(p.grad is None for p in method.key_backbone.parameters())


@pytest.mark.parametrize(
    ("options", "student", "teacher", "momentum"),
    [
        (MomentumContrast(momentum=0.9), "backbone", "key_backbone", 0.9),
        (SelfDistillation(**SMALL_VIT, momentum=0.8), "backbone", "teacher", 0.9),
    ],
)
def test_the_teacher_is_a_moving_average_of_the_student(options, student, teacher, momentum):
    method = options.build(32, 0)
    old = [p.clone() for p in getattr(method, teacher).parameters()]
    with torch.no_grad():
        for parameter in getattr(method, student).parameters():
            parameter += 1.0
    new = [p.clone() for p in getattr(method, student).parameters()]
    method.after_step(0.5)
    for kept, target, value in zip(old, new, getattr(method, teacher).parameters(), strict=True):
        torch.testing.assert_close(value, momentum * kept + (1 - momentum) * target)


@pytest.mark.parametrize("views", [2, 5])
def test_distillation_is_dinos_loss_of_each_record(views, generator):
    taught, learnt = (torch.randn(4, count, 8, generator=generator) for count in (2, views))
    losses = distillation((taught / 0.04).softmax(dim=-1), (learnt / 0.1).log_softmax(dim=-1))
    for loss, teacher, student in zip(losses, taught, learnt, strict=True):
        expected = DINOLoss(8, teacher_temp=0.04, student_temp=0.1)(list(teacher[:, None]), list(student[:, None]))
        torch.testing.assert_close(loss, expected)


def test_the_centre_is_a_moving_average_of_the_teachers_answers(images, labels, generator):
    method = SelfDistillation(**SMALL_VIT, prototypes=16, center_momentum=0.75).build(32, 0)
    method.centre.fill_(0.5)
    answers = []
    method.teacher_head.register_forward_hook(lambda module, inputs, output: answers.append(output))
    method.prepare(images, labels, generator, 0.0)
    torch.testing.assert_close(method.centre, 0.75 * 0.5 + 0.25 * answers[0].mean(dim=0))


def test_dino_trains_the_student_alone_and_moves_the_centre(images, labels, generator):
    method = SelfDistillation(**SMALL_VIT, prototypes=16).build(32, 0)
    teacher = deepcopy(method.teacher.state_dict())
    centre = method.centre.clone()
    torch.autograd.backward(method.loss(images, labels, generator, 0.0))
    assert all(p.grad is None for p in method.teacher.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in method.backbone.parameters())
    assert all((method.teacher.state_dict()[name] == value).all() for name, value in teacher.items())
    assert (method.centre != centre).any()
    assert method.published() is method.teacher


@pytest.mark.parametrize("name", RECIPES.names())
def test_a_loss_depends_on_its_generator_alone(name, images, labels):
    method = RECIPES.get(name)().build(32, 3)
    method.validation = TrainingSamples(images.flip(0), labels)
    state = deepcopy(method.state_dict())

    def loss(seed: int) -> float:
        method.load_state_dict(state)
        return method.loss(images, labels, torch.Generator().manual_seed(seed), 0.0).item()

    torch.rand(3)
    first = loss(1)
    torch.rand(5)
    assert loss(1) == first
    assert loss(2) != first


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (MaskedAutoencoder(patch_size=7), "patch_size"),
        (MaskedAutoencoder(embed_dim=10), "heads"),
        (MaskedAutoencoder(mask_ratio=0.99), "mask_ratio"),
        (MomentumContrast(momentum=1.0), "momentum"),
        (SelfDistillation(patch_size=32), "local"),
    ],
)
def test_options_that_do_not_fit_say_what_to_change(options, message):
    with pytest.raises(UsageError, match=message):
        options.build(32, 10)


def test_a_classifier_needs_classes():
    with pytest.raises(UsageError, match="two classes"):
        Supervised().build(32, 1)


def test_the_learning_rate_warms_up_and_falls_along_a_cosine():
    factors = [warmup_cosine(step, 100, 10) for step in range(100)]
    assert factors[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factors[10] == 1.0
    assert factors[55] == pytest.approx(0.5)
    assert all(later < earlier for earlier, later in pairwise(factors[10:]))
    assert warmup_cosine(0, 5, 0) == 1.0
    assert [cosine_rise(0.9, 1.0, p) for p in (0.0, 0.5, 1.0)] == pytest.approx([0.9, 0.95, 1.0])
