import asyncio
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentprint.encoder_server.queue import BatchQueue, Stage, Ticket
from latentprint.encoder_server.refusals import Refusal
from latentprint.encoder_server.settings import Batching, Limits

LOOP = asyncio.new_event_loop()
requests = st.lists(
    st.tuples(st.sampled_from([8, 16]), st.integers(1, 6), st.sampled_from([("embedding",), ("feature_map",)])),
    min_size=1,
    max_size=20,
)


@pytest.fixture(scope="module", autouse=True)
def _close_loop():
    yield
    LOOP.close()


def batch_queue(max_batch, max_delay=0.0, **limits):
    return BatchQueue(Batching(max_batch, max_delay), Limits(**limits))


def ticket(side=8, count=1, outputs=("embedding",), expires=float("inf")):
    return Ticket(np.zeros((count, side, side, 3), np.uint8), outputs, LOOP.create_future(), expires)


@given(requests, st.integers(1, 8), st.data())
@settings(max_examples=60, deadline=None)
def test_every_ticket_leaves_once_in_order_with_its_kind(asked, max_batch, data):
    queue = batch_queue(max_batch)
    tickets = [ticket(*each) for each in asked]
    for each in tickets:
        queue.put(each)
    withdrawn = [each for each in tickets if data.draw(st.booleans()) and queue.withdraw(each)]
    queue.close()
    taken = []
    while (batch := queue.take()) is not None:
        assert batch[1] == []
        assert len({each.kind for each in batch[0]}) == 1
        assert len(batch[0]) == 1 or sum(len(each.samples) for each in batch[0]) <= max_batch
        taken += batch[0]
    assert {id(each) for each in taken} | {id(each) for each in withdrawn} == {id(each) for each in tickets}
    assert len(taken) + len(withdrawn) == len(tickets)
    assert queue.images == 0
    for kind in {each.kind for each in taken}:
        order = [tickets.index(each) for each in taken if each.kind == kind]
        assert order == sorted(order)


def test_the_oldest_kind_goes_first():
    queue = batch_queue(8)
    for side in (16, 8, 16):
        queue.put(ticket(side))
    first, _ = queue.take()
    assert [each.samples.shape[1] for each in first] == [16, 16]


def test_a_full_queue_refuses_and_takes_again_once_emptied():
    queue = batch_queue(8, max_images_per_request=4, max_queued_images=4)
    queue.put(ticket(count=3))
    with pytest.raises(Refusal, match="3 images wait already"):
        queue.put(ticket(count=2))
    queue.take()
    queue.put(ticket(count=2))
    assert queue.images == 2


def test_waiting_images_are_bounded_in_bytes_too():
    queue = batch_queue(8, max_queued_bytes=2 * 8 * 8 * 3)
    queue.put(ticket(count=1))
    with pytest.raises(Refusal, match="192 bytes of images wait already"):
        queue.put(ticket(side=16, count=1))
    queue.put(ticket(count=1))
    queue.take()
    queue.put(ticket(side=16, count=1))  # one request of any size may wait
    assert queue.images == 1


def test_large_images_share_a_batch_with_fewer():
    assert [Batching(256).samples((side, side, 3)) for side in (1, 32, 224, 448, 1024)] == [256, 256, 256, 64, 12]
    assert Batching(4).samples((1024, 1024, 3)) == 1
    assert Batching(256).samples((600,)) == 256
    queue = batch_queue(8)
    for _ in range(8):
        queue.put(ticket(side=448))
    assert len(queue.take()[0]) == 2


def test_expired_tickets_are_handed_back_unstarted():
    queue = batch_queue(8)
    late, timely = ticket(expires=time.monotonic() - 1), ticket()
    queue.put(late)
    queue.put(timely)
    assert queue.take() == ([timely], [late])
    assert late.stage is Stage.DROPPED
    assert timely.stage is Stage.STARTED
    assert not queue.withdraw(timely)


def test_a_delay_waits_for_a_batch_to_fill_but_not_longer_than_it_takes():
    queue = batch_queue(4, 0.3)
    queue.put(ticket(count=2))
    started = time.monotonic()
    assert len(queue.take()[0]) == 1
    assert time.monotonic() - started >= 0.25
    patient = batch_queue(4, 60.0)
    patient.put(ticket(count=2))
    patient.put(ticket(count=2))
    started = time.monotonic()
    assert len(patient.take()[0]) == 2
    assert time.monotonic() - started < 30
