"""CAE's parts against slow and plain versions of themselves."""

from dataclasses import replace

import pytest
import torch

from latentprint.core.errors import UsageError
from latentprint.trainer.recipes.base import backbone_input, normalised
from latentprint.trainer.recipes.cae import ContextAutoencoder
from latentprint.trainer.recipes.cross import CrossAttention
from latentprint.trainer.recipes.patches import patch_orders
from latentprint.trainer.recipes.vit import encode_patches, patches_of

SMALL = ContextAutoencoder(embed_dim=32, depth=2, heads=2, flip=0.0, regressor_depth=2, mask_ratio=0.75)
ROWS = torch.arange(5).unsqueeze(1)
IMAGES = 5


@pytest.fixture
def method():
    torch.manual_seed(3)
    return SMALL.build(32, 0)


def test_cross_attention_against_a_loop(generator):
    attention = CrossAttention(8, 2)
    queries, tokens = torch.randn(2, 3, 8, generator=generator), torch.randn(2, 5, 8, generator=generator)
    hidden = torch.rand(2, 3, 5, generator=generator) < 0.5
    hidden[:, :, 0] = False
    found = attention(queries, tokens, hidden)
    for b in range(2):
        for i in range(3):
            heads = []
            for part in (slice(0, 4), slice(4, 8)):
                key_value = attention.key_value(tokens[b])
                keys, values = key_value[:, :8][:, part], key_value[:, 8:][:, part]
                seen = [j for j in range(5) if not hidden[b, i, j]]
                scores = torch.stack([attention.query(queries[b, i])[part] @ keys[j] / 2 for j in seen])
                heads.append(sum(w * values[j] for w, j in zip(scores.softmax(0), seen, strict=True)))
            torch.testing.assert_close(found[b, i], attention.project(torch.cat(heads)))


def test_the_loss_against_a_loop(method, images, monkeypatch):
    orders = patch_orders(5, 16, torch.Generator().manual_seed(1))
    monkeypatch.setattr("latentprint.trainer.recipes.patches.patch_orders", lambda *_: orders)
    loss = method.loss(images, torch.zeros(5), torch.Generator(), 0.0)
    place = method.backbone.pos_embed[0]
    losses = []
    for image, order in zip(images, orders, strict=True):
        cut = normalised(patches_of(image[None], 8))[0]
        seen, masked = order[:4], order[4:]
        encoded = encode_patches(method.backbone, cut[seen][None], seen[None])[0]
        queries = method.regressor.mask_query[0].expand(12, -1)
        for block in method.regressor.blocks:
            queries = queries + place[masked]
            queries = block(queries[None], torch.cat([encoded + place[seen], queries])[None])[0]
        latents = method.regressor.norm(queries)
        predicted = method.decoder(latents[None], place[masked][None])[0]
        aligned = encode_patches(method.backbone, cut[masked][None], masked[None])[0]
        pixels, distances = [], []
        for i, patch in enumerate(cut[masked].flatten(1)):
            target = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            pixels.append((predicted[i] - target).square().mean())
            distances.append((latents[i] - aligned[i]).square().mean())
        losses.append(torch.stack(pixels).mean() + 2 * torch.stack(distances).mean())
    assert loss.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_masked_pixels_never_reach_the_regressor_or_the_decoder(method, images, generator):
    order = patch_orders(5, 16, generator)
    pixels = normalised(patches_of(images, 8)).requires_grad_()
    latents, predicted = method.predictions(pixels[ROWS, order][:, :4], order)
    for output in (latents, predicted):
        (gradient,) = torch.autograd.grad(output.square().sum(), pixels, retain_graph=True)
        moved = gradient.abs().sum(dim=(2, 3)) > 0  # [B, N]
        assert moved.gather(1, order[:, :4]).all()
        assert not moved.gather(1, order[:, 4:]).any()


def test_the_alignment_target_is_a_constant_of_the_masked_patches_alone(method, images):
    prepared = method.prepare(images, torch.zeros(5), torch.Generator().manual_seed(2), 0.0)
    assert not prepared["aligned_to"].requires_grad
    blanked = torch.where(torch.arange(16).view(1, 16, 1, 1) < 4, 0.0, prepared["patches"])
    alone = encode_patches(method.backbone, blanked[:, 4:], prepared["order"][:, 4:])
    torch.testing.assert_close(prepared["aligned_to"], alone)
    torch.autograd.backward(method(**prepared).mean())
    assert all(p.grad is not None for p in method.parameters() if p.requires_grad)


def test_a_records_loss_does_not_depend_on_the_others(method, images):
    prepared = method.prepare(images, torch.zeros(5), torch.Generator().manual_seed(2), 0.0)
    together = method(**prepared)
    apart = torch.cat([method(**{name: value[i : i + 1] for name, value in prepared.items()}) for i in range(5)])
    torch.testing.assert_close(together, apart)


def test_with_everything_seen_the_encoder_is_the_published_one(method, images, generator):
    order = patch_orders(5, 16, generator)
    encoded = encode_patches(method.backbone, normalised(patches_of(images, 8))[ROWS, order], order)
    expected = method.published().forward_features(backbone_input(images))
    torch.testing.assert_close(encoded, expected[ROWS, order], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"), [({"regressor_depth": 0}, "regressor_depth"), ({"mask_ratio": 0.01}, "mask_ratio")]
)
def test_options_that_do_not_fit_say_what_to_change(options, message):
    with pytest.raises(UsageError, match=message):
        replace(SMALL, **options).build(32, 0)
