"""iBOT's masks and losses against slow and plain versions, and lightly's patch loss."""

from dataclasses import replace

import pytest
import torch
from lightly.loss import IBOTPatchLoss

from latentprint.core.errors import UsageError
from latentprint.trainer.recipes.base import backbone_input
from latentprint.trainer.recipes.ibot import MaskedSelfDistillation, draw_masks, patch_distillation

SMALL = MaskedSelfDistillation(embed_dim=32, depth=2, heads=2, prototypes=16, local_views=2)
IMAGES = 4


@pytest.fixture
def method():
    torch.manual_seed(3)
    return SMALL.build(32, 0)


@pytest.fixture
def prepared(method, images):
    return method.prepare(images, torch.zeros(4), torch.Generator().manual_seed(2), 0.0)


@pytest.fixture
def answers(generator):
    """Similarities of teacher and student [B, V, N, K], and masks [B, V, N] of which one is empty."""
    taught, learnt = (torch.randn(3, 2, 5, 6, generator=generator) for _ in range(2))
    mask = torch.rand(3, 2, 5, generator=generator) < 0.5
    mask[1, 0] = False
    return taught, learnt, mask


def test_masks_have_the_numbers_asked_for_and_every_place_alike(generator):
    masks = draw_masks(400, 16, replace(SMALL, mask_ratio_from=0.25, mask_ratio_to=0.75), generator)
    numbers = masks.sum(dim=1)
    assert (numbers > 0).sum() == 200, "exactly the fraction of views that was asked for"
    assert set(numbers[numbers > 0].tolist()) == set(range(4, 13))
    assert numbers[numbers > 0].float().mean().item() == pytest.approx(8, abs=0.7)
    assert ((masks.sum(dim=0) - 100).abs() < 40).all()
    few = draw_masks(2, 16, replace(SMALL, masked_images=0.01, mask_ratio_from=0.01, mask_ratio_to=0.01), generator)
    assert few.sum() == 1, "a batch never goes without a masked patch"


def test_patch_distillation_against_a_loop(answers):
    taught, learnt, mask = answers
    losses = patch_distillation(taught.softmax(-1), learnt.log_softmax(-1), mask)
    for b in range(3):
        views = []
        for v in range(2):
            errors = [
                -(taught[b, v, n].softmax(0) * learnt[b, v, n].log_softmax(0)).sum() for n in range(5) if mask[b, v, n]
            ]
            views.append(torch.stack(errors).mean() if errors else torch.zeros(()))
        torch.testing.assert_close(losses[b], torch.stack(views).mean())


def test_patch_distillation_is_lightlys(answers):
    taught, learnt, mask = answers
    criterion = IBOTPatchLoss(6, teacher_temp=0.5, student_temp=0.2)
    flat = mask.flatten(0, 1)
    expected = criterion(taught[mask], learnt[mask], flat.unsqueeze(1))
    losses = patch_distillation((taught / 0.5).softmax(-1), (learnt / 0.2).log_softmax(-1), mask)
    torch.testing.assert_close(losses.mean(), expected)


def test_only_masked_patches_count(answers, generator):
    taught, learnt, mask = answers
    before = patch_distillation(taught.softmax(-1), learnt.log_softmax(-1), mask)
    assert before.isfinite().all()
    noise = torch.randn(taught.shape, generator=generator) * ~mask.unsqueeze(3)
    after = patch_distillation((taught + noise).softmax(-1), (learnt + noise).log_softmax(-1), mask)
    torch.testing.assert_close(after, before)


def test_the_student_never_sees_masked_pixels(method, prepared):
    wide, mask = prepared["wide"].clone().requires_grad_(), prepared["mask"]
    tokens = method.tokens(method.backbone, wide, mask)
    (gradient,) = torch.autograd.grad(tokens.square().sum(), wide)
    reached = gradient.abs().sum(dim=2).view(4, 2, 4, 8, 4, 8).sum(dim=(3, 5)).flatten(2) > 0  # [B, V, N]
    assert mask.any()
    assert (reached == ~mask).all()


def test_with_nothing_masked_the_encoder_is_the_published_one(method, images):
    views = backbone_input(images).unsqueeze(1)
    tokens = method.tokens(method.published(), views, torch.zeros(4, 1, 16, dtype=torch.bool))
    torch.testing.assert_close(tokens[:, 0], method.published().forward_features(views[:, 0]), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tokens.mean(dim=2)[:, 0], method.published()(views[:, 0]), atol=1e-5, rtol=1e-5)
    assert method.published() is method.teacher


def test_the_loss_against_a_loop(method, prepared):
    method.eval()  # batch norm with its stored statistics, so that records can be taken one by one
    weighted = replace(SMALL, patch_weight=0.7).build(32, 0).eval()
    weighted.load_state_dict(method.state_dict())
    losses = weighted(**prepared)
    for record in range(4):
        whole, patches = [], []
        seen = method.tokens(method.backbone, prepared["wide"][record][None], prepared["mask"][record][None])[0]
        narrow = method.backbone(prepared["narrow"][record])
        learnt = [*(view.mean(dim=0) for view in seen), *narrow]
        logs = [(method.head(token[None])[0] / 0.1).log_softmax(0) for token in learnt]
        for t in range(2):
            whole += [-(prepared["taught"][record, t] * logs[s]).sum() for s in range(4) if s != t]
            errors = [
                -(
                    prepared["taught_patches"][record, t, n] * (method.head(seen[t, n][None])[0] / 0.1).log_softmax(0)
                ).sum()
                for n in range(16)
                if prepared["mask"][record, t, n]
            ]
            patches.append(torch.stack(errors).mean() if errors else torch.zeros(()))
        expected = torch.stack(whole).mean() + 0.7 * torch.stack(patches).mean()
        torch.testing.assert_close(losses[record], expected)


def test_the_teacher_sees_everything_and_its_answers_are_centred_and_sharpened(method, images):
    method.centre.normal_()
    method.patch_centre.normal_()
    centres = method.centre.clone(), method.patch_centre.clone()
    prepared = method.prepare(images, torch.zeros(4), torch.Generator().manual_seed(2), 0.0)
    tokens = method.teacher.forward_features(prepared["wide"].flatten(0, 1))
    pooled, each = method.teacher_head(tokens.mean(dim=1)), method.teacher_head(tokens.flatten(0, 1))
    taught = ((pooled - centres[0]) / 0.04).softmax(-1).view(4, 2, 16)
    taught_patches = ((each - centres[1]) / 0.04).softmax(-1).view(4, 2, 16, 16)
    torch.testing.assert_close(prepared["taught"], taught, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(prepared["taught_patches"], taught_patches, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(method.centre, 0.9 * centres[0] + 0.1 * pooled.mean(dim=0), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(method.patch_centre, 0.9 * centres[1] + 0.1 * each.mean(dim=0), atol=1e-5, rtol=1e-4)
    assert not any(value.requires_grad for value in prepared.values())


def test_student_head_and_mask_token_are_trained_and_the_teacher_is_not(method, images, generator):
    torch.autograd.backward(method.loss(images, torch.zeros(4), generator, 0.0))
    trained = {id(p) for group in method.optimiser().param_groups for p in group["params"]}
    for name, parameter in method.named_parameters():
        assert (id(parameter) in trained) == (not name.startswith("teacher"))
        assert (parameter.grad is not None) == (id(parameter) in trained)


def test_crop_and_flip_are_options():
    augmentation = replace(SMALL, flip=0.2, crop_scale_from=0.3).augmentation
    assert (augmentation.flip_probability, augmentation.crop_scale) == (0.2, (0.3, 1.0))
    assert replace(SMALL, flip=0.2).local_augmentation.flip_probability == 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"masked_images": 0.0}, "masked_images"),
        ({"mask_ratio_from": 0.6}, "low to high"),
        ({"patch_size": 32}, "local"),
    ],
)
def test_options_that_do_not_fit_say_what_to_change(options, message):
    with pytest.raises(UsageError, match=message):
        replace(SMALL, **options).build(32, 0)
