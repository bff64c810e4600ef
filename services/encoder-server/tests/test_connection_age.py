"""A connection of a certain age is renewed, so that a client meets new replicas; no call notices."""

import asyncio

import grpc
import pytest

from latentprint.core.errors import UsageError
from latentprint.encoder_server.settings import Listening


async def count_connections(channel: grpc.aio.Channel) -> int:
    """Times that `channel` becomes ready, until cancelled."""
    state, connections = channel.get_state(), 0
    try:
        while True:
            await channel.wait_for_state_change(state)
            state = channel.get_state()
            connections += state is grpc.ChannelConnectivity.READY
    except asyncio.CancelledError:
        return connections


async def asked_for(seconds, running, images):
    """Answers that came, and connections that were made while two callers asked."""
    counting = asyncio.create_task(count_connections(running.channel))
    end = asyncio.get_running_loop().time() + seconds
    answers = 0
    while asyncio.get_running_loop().time() < end:
        for answer in await asyncio.gather(*(running.infer(images(2)) for _ in range(2))):
            answers += len(answer["embedding"])
        await asyncio.sleep(0.02)
    counting.cancel()
    return answers, await counting


async def test_a_connection_is_renewed_and_no_call_fails(serve, images):
    running = await serve(listening={"max_connection_age": 1.0, "max_connection_age_grace": 5.0})
    answers, connections = await asked_for(2.6, running, images)
    assert answers > 20
    assert connections >= 2


async def test_a_call_that_outlives_the_connection_has_the_grace_to_finish(serve, braked, images):
    victim, brake = braked
    running = await serve(victim, listening={"max_connection_age": 1.0, "max_connection_age_grace": 10.0})
    brake.hold()
    under_way = asyncio.create_task(running.infer(images(2)))
    await brake.wait()
    await asyncio.sleep(1.5)  # the age, give or take a tenth
    brake.release()
    assert len((await under_way)["embedding"]) == 2


async def test_a_call_beyond_the_grace_ends(serve, braked, images, refusal):
    victim, brake = braked
    running = await serve(victim, listening={"max_connection_age": 1.0, "max_connection_age_grace": 0.2})
    brake.hold()
    under_way = asyncio.create_task(running.infer(images(2)))
    await brake.wait()
    assert (await refusal(under_way)).code() is grpc.StatusCode.UNAVAILABLE
    brake.release()


async def test_without_an_age_a_connection_stays(serve, images):
    running = await serve()
    assert (await asked_for(1.2, running, images))[1] == 1


@pytest.mark.parametrize(
    ("ages", "words"),
    [
        ((None, 5.0), "needs --max-connection-age"),
        ((0.0, None), "--max-connection-age must be 1 to"),
        ((float("nan"), None), "--max-connection-age must be 1 to"),
        ((1e9, None), "--max-connection-age must be 1 to"),
        ((60.0, -1.0), "--max-connection-age-grace must be 0 to"),
        ((60.0, float("inf")), "--max-connection-age-grace must be 0 to"),
    ],
)
def test_an_age_that_cannot_be_says_so(ages, words):
    with pytest.raises(UsageError, match=words):
        Listening(max_connection_age=ages[0], max_connection_age_grace=ages[1])
