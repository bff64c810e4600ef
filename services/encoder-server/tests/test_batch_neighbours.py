"""An answer does not depend on the batch it travelled in; with --deterministic not even its bits do."""

import asyncio

import numpy as np
import pytest
import timm
import torch

from latentprint.core.encoders import Encoder
from latentprint.encoder_server.deterministic import FixedForward
from latentprint.encoder_server.settings import Batching, Compute


async def alone_and_in_company(running, images, side):
    mine = images(3, side)
    alone = await running.infer(mine, ["embedding", "feature_map"])
    company = [running.infer(images(n, side, seed=n), ["embedding", "feature_map"]) for n in range(1, 12)]
    together = await asyncio.gather(running.infer(mine, ["embedding", "feature_map"]), *company)
    return alone, together[0]


@pytest.mark.parametrize("side", [16, 32])
async def test_neighbours_change_nothing_to_1e_5(serve, images, side):
    alone, company = await alone_and_in_company(await serve(), images, side)
    for name, array in alone.items():
        np.testing.assert_allclose(company[name], array, atol=1e-5)


@pytest.mark.parametrize("side", [16, 32])
async def test_deterministic_answers_agree_bit_for_bit(serve, images, side):
    running = await serve(batching={"deterministic": True})
    alone, company = await alone_and_in_company(running, images, side)
    for name, array in alone.items():
        assert (company[name] == array).all()


@pytest.mark.parametrize(("name", "threads"), [("resnet18", 1), ("vit", 1), ("vit", 2)])
def test_fixed_shapes_give_the_same_bits_in_any_place_and_grouping(victim, images, name, threads):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = victim.encoder if name == "vit" else Encoder(timm.create_model(name), ["embedding"])
    forward = FixedForward(encoder, "cpu", Compute(threads=threads), Batching(64))
    before = torch.get_num_threads()
    forward.prepare_thread()
    pixels = images(19)
    whole = forward(pixels, ["embedding"])["embedding"]
    order = np.random.default_rng(1).permutation(19)
    shuffled = forward(pixels[order], ["embedding"])["embedding"]
    single = np.concatenate([forward(pixels[i : i + 1].copy(), ["embedding"])["embedding"] for i in range(19)])
    torch.set_num_threads(before)
    assert (whole[order] == shuffled).all()
    assert (whole == single).all()
