"""Long-sequence MAE is MAE whose mask is drawn in blocks."""

from dataclasses import replace

import pytest
import torch

from latentprint.core.errors import UsageError
from latentprint.trainer.recipes.base import backbone_input, normalised
from latentprint.trainer.recipes.long_seq_mae import LongSequenceMaskedAutoencoder, block_places
from latentprint.trainer.recipes.mae import MaskedAutoencoder
from latentprint.trainer.recipes.vit import patches_of

SMALL_VIT = {"embed_dim": 32, "depth": 1, "heads": 2, "flip": 0.0}
SMALL = LongSequenceMaskedAutoencoder(**SMALL_VIT)
IMAGES = 4


@pytest.mark.parametrize(("grid", "block"), [(8, 2), (6, 3), (4, 1), (4, 4)])
def test_blocks_against_a_loop(grid, block):
    places = block_places(grid, block)
    expected: dict[tuple[int, int], list[int]] = {}
    for place in range(grid**2):
        row, column = divmod(place, grid)
        expected.setdefault((row // block, column // block), []).append(place)
    assert places.tolist() == [expected[key] for key in sorted(expected)]


def test_blocks_are_masked_together_and_alike(generator):
    method = SMALL.build(32, 0)
    orders = method.orders(400, generator)
    assert (orders.sort(dim=1).values == torch.arange(64)).all()
    assert method.kept == 16
    seen = torch.zeros(400, 64, dtype=torch.bool).scatter_(1, orders[:, : method.kept], True)
    grid = seen.view(400, 4, 2, 4, 2)
    assert (grid == grid[:, :, :1, :, :1]).all(), "the four patches of a block share its fate"
    often = seen.sum(dim=0)
    assert ((often - 100).abs() < 40).all(), "every block is seen about equally often"


def test_the_loss_against_a_loop(images, generator, monkeypatch):
    method = SMALL.build(32, 0)
    orders = method.orders(4, generator)
    monkeypatch.setattr(method, "orders", lambda *_: orders)
    loss = method.loss(images, torch.zeros(4), torch.Generator(), 0.0)
    errors = []
    for image, order in zip(images, orders, strict=True):
        cut = normalised(patches_of(image[None], 4))[0]
        predicted = method.decoder(method.encode(cut[order[:16]][None], order[None, :16]), order[None])[0]
        for guess, patch in zip(predicted, cut[order[16:]].flatten(1), strict=True):
            target = (patch - patch.mean()) / (patch.var() + 1e-6).sqrt()
            errors.append((guess - target).square().mean())
    assert loss.item() == pytest.approx(torch.stack(errors).mean().item(), rel=1e-5)


def test_blocks_of_one_patch_are_plain_masks(images):
    plain = MaskedAutoencoder(patch_size=4, **SMALL_VIT).build(32, 0)
    method = replace(SMALL, mask_block=1).build(32, 0)
    method.load_state_dict(plain.state_dict())
    losses = [m.loss(images, torch.zeros(4), torch.Generator().manual_seed(5), 0.0) for m in (plain, method)]
    assert losses[0] == losses[1]


def test_with_everything_kept_the_encoder_is_the_published_one(images, generator):
    method = SMALL.build(32, 0)
    order = method.orders(4, generator)
    rows = torch.arange(4).unsqueeze(1)
    encoded = method.encode(normalised(patches_of(images, 4)[rows, order]), order)
    expected = method.published().forward_features(backbone_input(images))
    torch.testing.assert_close(encoded, expected[rows, order], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"mask_block": 3}, "mask_block"), ({"mask_block": 0}, "mask_block"), ({"mask_block": 8}, "mask_ratio")],
)
def test_options_that_do_not_fit_say_what_to_change(options, message):
    with pytest.raises(UsageError, match=message):
        replace(SMALL, **options).build(32, 0)
