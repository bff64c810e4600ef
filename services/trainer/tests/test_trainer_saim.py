"""SAIM predicts a patch from those before it, and from nothing else."""

from dataclasses import replace

import pytest
import torch
from scipy.ndimage import gaussian_filter

from latentprint.core.errors import UsageError
from latentprint.trainer.recipes.base import backbone_input, normalised
from latentprint.trainer.recipes.patches import patch_orders
from latentprint.trainer.recipes.saim import StochasticAutoregression
from latentprint.trainer.recipes.vit import patch_tokens, patches_of

SMALL = StochasticAutoregression(embed_dim=32, depth=4, heads=2, flip=0.0, decoder_depth=2)
ROWS = torch.arange(3).unsqueeze(1)
IMAGES = 3


@pytest.fixture
def method():
    torch.manual_seed(3)
    return SMALL.build(32, 0)


@pytest.fixture
def prepared(method, images):
    return method.prepare(images, torch.zeros(3), torch.Generator().manual_seed(2), 0.0)


def test_a_prediction_depends_on_every_earlier_patch_and_on_no_other(method, prepared, generator):
    patches, order = prepared["patches"], prepared["order"]
    assert (order[0] != order[1]).any()
    before = method.predictions(patches, order)
    for rank in range(16):
        changed = patches.clone()
        changed[:, rank] = torch.randn(changed[:, rank].shape, generator=generator)
        moved = (method.predictions(changed, order) - before).abs().amax(dim=2) > 0  # [B, N]
        assert not moved[:, : rank + 1].any()
        assert moved[:, rank + 1 :].all()


def test_the_loss_against_a_loop_over_patches_and_their_prefixes(method, prepared):
    """Each patch is predicted from an encoder that is only ever given those before it."""
    losses = method(**prepared)
    place = method.backbone.pos_embed[0]
    for patches, order, loss in zip(prepared["patches"], prepared["order"], losses, strict=True):
        errors = []
        for rank in range(16):
            query = place[order[rank]][None, None]
            for block, state in zip(method.decoder.blocks, _states(method, patches[:rank], order[:rank]), strict=True):
                query = block(query, torch.cat([method.decoder.start, state], dim=1))
            predicted = method.decoder.predict(method.decoder.norm(query))[0, 0]
            patch = patches[rank].flatten()
            target = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            errors.append((predicted - target).square().mean())
        assert loss.item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-5)


def _states(method, patches, order):
    """What the two decoder blocks see of some first patches, a token at a time."""
    backbone = method.backbone
    tokens = list(patch_tokens(backbone, patches[None], order[None])[0])
    states = []
    for number, block in enumerate(backbone.blocks):
        tokens = [block(torch.stack(tokens[: i + 1])[None])[0, i] for i in range(len(tokens))]
        if number in (1, 3):
            states.append(torch.stack(tokens)[None] if tokens else torch.zeros(1, 0, 32))
    return [states[0], backbone.norm(states[1])]


def test_the_mean_of_the_records_losses_is_the_loss(method, images, prepared):
    loss = method.loss(images, torch.zeros(3), torch.Generator().manual_seed(2), 0.0)
    apart = [method(**{name: value[i : i + 1] for name, value in prepared.items()}) for i in range(3)]
    torch.testing.assert_close(loss, torch.cat(apart).mean())
    torch.autograd.backward(loss)
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


def test_with_nothing_hidden_the_encoder_is_the_published_one(method, images, generator):
    order = patch_orders(3, 16, generator)
    patches = normalised(patches_of(images, 8))[ROWS, order]
    expected = method.published().forward_features(backbone_input(images))[ROWS, order]
    torch.testing.assert_close(method.encode(patches, order, causal=False)[-1], expected, atol=1e-5, rtol=1e-5)
    assert (method.encode(patches, order, causal=True)[-1] - expected).abs().max() > 1e-2


def test_targets_are_those_of_smoothed_images(images):
    method = replace(SMALL, target_blur=1.0).build(32, 0)
    prepared = method.prepare(images, torch.zeros(3), torch.Generator().manual_seed(2), 0.0)
    for image, order, target in zip(images, prepared["order"], prepared["target"], strict=True):
        smooth = torch.from_numpy(gaussian_filter(image.float().numpy(), (1, 1, 0), mode="mirror", truncate=2))
        cut = normalised(patches_of(smooth[None], 8))[0, order].flatten(1)
        expected = (cut - cut.mean(dim=1, keepdim=True)) / (cut.var(dim=1, keepdim=True) + 1e-6).sqrt()
        torch.testing.assert_close(target, expected, atol=1e-3, rtol=1e-3)
    patches = normalised(patches_of(images, 8))[ROWS, prepared["order"]]
    torch.testing.assert_close(prepared["patches"], patches)


@pytest.mark.parametrize(
    ("options", "message"), [({"decoder_depth": 3}, "decoder_depth"), ({"target_blur": -1.0}, "target_blur")]
)
def test_options_that_do_not_fit_say_what_to_change(options, message):
    with pytest.raises(UsageError, match=message):
        replace(SMALL, **options).build(32, 0)
