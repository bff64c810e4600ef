import asyncio

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from latentprint.core.oip import inference_pb2 as pb


async def test_draining_says_so_answers_what_is_under_way_and_refuses_the_rest(serve, braked, images, refusal):
    victim, brake = braked
    running = await serve(victim, listening={"settle_seconds": 2.0, "grace_seconds": 10.0})
    health = health_pb2_grpc.HealthStub(running.channel)
    brake.hold()
    under_way = asyncio.create_task(running.infer(images(2)))
    await brake.wait()
    draining = asyncio.create_task(running.server.drain())
    await asyncio.sleep(0.2)
    answer = await health.Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert not (await running.call("ServerReady", pb.ServerReadyRequest())).ready
    settling = asyncio.create_task(running.infer(images(3)))
    await asyncio.sleep(2.5)
    error = await refusal(running.infer(images(1), timeout=2))
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert not draining.done()
    brake.release()
    assert len((await under_way)["embedding"]) == 2
    assert len((await settling)["embedding"]) == 3
    await asyncio.wait_for(draining, 10)


async def test_grace_ends_calls_that_take_too_long(serve, braked, images, refusal):
    victim, brake = braked
    running = await serve(victim, listening={"grace_seconds": 0.2})
    brake.hold()
    under_way = asyncio.create_task(running.infer(images(2)))
    await brake.wait()
    draining = asyncio.create_task(running.server.drain())
    assert (await refusal(under_way)).code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    brake.release()
    await asyncio.wait_for(draining, 10)
