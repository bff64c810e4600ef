import asyncio

import grpc


async def test_a_caller_whose_deadline_passes_while_it_waits_is_never_computed(serve, braked, images, refusal):
    victim, brake = braked
    running = await serve(victim)
    brake.hold()
    first = asyncio.create_task(running.infer(images(1)))
    await brake.wait()
    error = await refusal(running.infer(images(5), timeout=0.2))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    brake.release()
    await first
    await running.infer(images(1))
    assert running.count("latentprint_answered_images_total") == 2
    assert running.count("latentprint_queued_images") == 0


async def test_a_cancelled_caller_leaves_the_queue(serve, braked, images):
    victim, brake = braked
    running = await serve(victim)
    brake.hold()
    first = asyncio.create_task(running.infer(images(1)))
    await brake.wait()
    second = asyncio.create_task(running.infer(images(7)))
    while running.count("latentprint_queued_images") != 7:
        await asyncio.sleep(0.01)
    second.cancel()
    while running.count("latentprint_queued_images") != 0:
        await asyncio.sleep(0.01)
    brake.release()
    await first
    assert running.count("latentprint_answered_images_total") == 1
    assert running.count("latentprint_requests_total", method="ModelInfer", code="CANCELLED") == 1


async def test_a_failing_batch_fails_only_its_callers(serve, victim, images, refusal):
    victim.encoder.model.patch_embed.register_forward_pre_hook(fail_on_white)
    running = await serve(victim)
    answers = await asyncio.gather(
        refusal(running.infer(images(1, 16) | 255)), running.infer(images(2, 32)), running.infer(images(2, 24))
    )
    assert answers[0].code() is grpc.StatusCode.INTERNAL
    assert answers[0].details() == "The forward failed; the server's log says why."
    assert len(answers[1]["embedding"]) == len(answers[2]["embedding"]) == 2
    assert len((await running.infer(images(1, 16)))["embedding"]) == 1


def fail_on_white(_module, inputs):
    if (inputs[0] > 0.9).all():
        raise RuntimeError("white images only")


async def test_health_answers_while_the_device_is_busy(serve, braked, images):
    victim, brake = braked
    running = await serve(victim)
    brake.hold()
    first = asyncio.create_task(running.infer(images(1)))
    await brake.wait()
    assert (await running.call("ServerLive", live_request(), timeout=2)).live
    brake.release()
    await first


def live_request():
    from latentprint.core.oip import METHODS

    return METHODS["ServerLive"].request()
