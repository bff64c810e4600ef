"""Rows never change hands: whatever comes together, each caller gets the answers to its own images."""

import asyncio

import grpc
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

OUTPUTS = st.sampled_from([("embedding",), ("feature_map",), ("posterior", "embedding")])
request = st.tuples(st.sampled_from([8, 16, 24, 32]), st.integers(1, 7), OUTPUTS, st.booleans(), st.booleans())


def oracle(victim, asked):
    return [victim.encoder.answer(images, outputs) for images, outputs, _, _ in asked]


async def ask(running, images, outputs, request_id, cancelled):
    task = asyncio.create_task(running.infer(images, outputs, request_id=request_id))
    if cancelled:
        await asyncio.sleep(0.002)
        task.cancel()
    try:
        return await task
    except (asyncio.CancelledError, grpc.aio.AioRpcError):
        assert cancelled
        return None


async def ask_all(running, asked):
    return await asyncio.gather(*[ask(running, *each) for each in asked])


def check(background, requests, seed):
    generator = np.random.default_rng(seed)
    asked = [
        (
            generator.integers(0, 256, (count, side, side, 3), dtype=np.uint8),
            outputs,
            f"{seed}-{index}" if named else "",
            cancelled,
        )
        for index, (side, count, outputs, cancelled, named) in enumerate(requests)
    ]
    answers = background.run(ask_all(background.running, asked))
    for (_, outputs, _, cancelled), answer, expected in zip(
        asked, answers, oracle(background.victim, asked), strict=True
    ):
        if answer is None:
            assert cancelled
            continue
        assert list(answer) == list(outputs)
        for name in outputs:
            np.testing.assert_allclose(answer[name], expected[name], atol=1e-5)


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cpu")])
def test_rows_are_never_mixed_up(background, devices):
    served = background(batching={"max_batch": 8}, compute={"devices": devices})

    @given(st.lists(request, min_size=1, max_size=24), st.integers(0, 2**32))
    @settings(max_examples=25, deadline=None)
    def hold(requests, seed):
        check(served, requests, seed)

    hold()


def test_the_oracle_would_notice(victim, images):
    answers = victim.encoder.answer(images(8), ["embedding"])["embedding"]
    distance = np.abs(answers[:, None] - answers[None]).max(axis=2) + np.eye(8)
    assert distance.min() > 1e-2
