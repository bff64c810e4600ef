"""Requests with an id are computed once and counted once, however often they come."""

import asyncio

import grpc
import numpy as np
import pytest


def counts(running):
    return tuple(running.count(f"latentprint_{kind}_images_total") for kind in ("answered", "replayed"))


async def test_a_repeated_request_is_replayed_and_counted_apart(serve, images):
    running = await serve()
    first = await running.infer(images(3), request_id="a")
    again = await running.infer(images(3), request_id="a")
    assert (first["embedding"] == again["embedding"]).all()
    assert counts(running) == (3, 3)
    assert running.count("latentprint_replayed_images_total", outputs="embedding", size="32x32") == 3


async def test_requests_without_an_id_are_never_kept(serve, images):
    running = await serve()
    await running.infer(images(3))
    await running.infer(images(3))
    assert counts(running) == (6, 0)


async def test_concurrent_requests_with_one_id_share_one_forward(serve, braked, images):
    victim, brake = braked
    running = await serve(victim)
    brake.hold()
    asked = [asyncio.create_task(running.infer(images(4), request_id="a")) for _ in range(3)]
    await brake.wait()
    await asyncio.sleep(0.1)
    brake.release()
    answers = await asyncio.gather(*asked)
    assert all((answer["embedding"] == answers[0]["embedding"]).all() for answer in answers)
    assert counts(running) == (4, 8)


async def test_an_answer_under_way_when_its_caller_vanishes_is_kept(serve, braked, images):
    victim, brake = braked
    running = await serve(victim)
    brake.hold()
    lost = asyncio.create_task(running.infer(images(4), request_id="a"))
    await brake.wait()
    lost.cancel()
    while running.count("latentprint_requests_total", code="CANCELLED") != 1:
        await asyncio.sleep(0.01)
    brake.release()
    answer = await running.infer(images(4), request_id="a")
    np.testing.assert_allclose(
        answer["embedding"], victim.encoder.answer(images(4), ["embedding"])["embedding"], atol=1e-5
    )
    assert counts(running) == (4, 4)


async def test_one_caller_leaving_does_not_cost_the_other_its_answer(serve, braked, images):
    victim, brake = braked
    running = await serve(victim)
    brake.hold()
    busy = asyncio.create_task(running.infer(images(1)))
    await brake.wait()
    leaves = asyncio.create_task(running.infer(images(4), request_id="a", timeout=0.2))
    stays = asyncio.create_task(running.infer(images(4), request_id="a"))
    with pytest.raises(grpc.aio.AioRpcError):
        await leaves
    brake.release()
    assert len((await stays)["embedding"]) == 4
    await busy


async def test_a_question_that_nobody_waits_for_any_more_is_not_asked(serve, braked, images):
    victim, brake = braked
    running = await serve(victim)
    brake.hold()
    busy = asyncio.create_task(running.infer(images(1)))
    await brake.wait()
    with pytest.raises(grpc.aio.AioRpcError):
        await running.infer(images(4), request_id="a", timeout=0.2)
    brake.release()
    await busy
    assert counts(running) == (1, 0)
    await running.infer(images(4), request_id="a")
    assert counts(running) == (5, 0)


@pytest.mark.parametrize("other", ["content", "outputs", "client", "id"])
async def test_a_reused_id_never_gets_another_questions_answer(serve, images, other):
    running = await serve()
    running.metadata = [("latentprint-client", "one")]
    first = await running.infer(images(2), request_id="a")
    if other == "client":
        running.metadata = [("latentprint-client", "two")]
    second = await running.infer(
        images(2, seed=1 if other == "content" else 0),
        ["feature_map"] if other == "outputs" else ["embedding"],
        request_id="b" if other == "id" else "a",
    )
    assert counts(running) == (4, 0)
    if other == "content":
        assert np.abs(first["embedding"] - second["embedding"]).max() > 1e-3


async def test_failures_are_not_kept(serve, victim, images, refusal):
    failing = [True, False]
    victim.encoder.model.patch_embed.register_forward_pre_hook(lambda _, inputs: fail_once(inputs[0], failing))
    running = await serve(victim)
    error = await refusal(running.infer(images(3), request_id="a"))
    assert error.code() is grpc.StatusCode.INTERNAL
    assert len((await running.infer(images(3), request_id="a"))["embedding"]) == 3
    assert counts(running) == (3, 0)


def fail_once(inputs, failing):
    probe = len(inputs) < 3  # of the warm-up and of a new image size
    if not probe and failing.pop(0):
        raise RuntimeError("not this time")


async def test_the_store_forgets_the_oldest_beyond_its_bytes(serve, images):
    running = await serve(limits={"replay_bytes": 3000})
    for name in ("a", "b", "c"):
        await running.infer(images(5), request_id=name)  # about 1,000 bytes each
    await running.infer(images(5), request_id="c")
    await running.infer(images(5), request_id="b")
    assert counts(running) == (15, 10)
    await running.infer(images(5), request_id="a")
    assert counts(running) == (20, 10)
