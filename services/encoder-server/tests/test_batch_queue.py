import asyncio
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakscope.encoder_server.queue import BatchQueue, Stage, Ticket
from leakscope.encoder_server.refusals import Refusal

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


def ticket(side=8, count=1, outputs=("embedding",), expires=float("inf")):
    return Ticket(np.zeros((count, side, side, 3), np.uint8), outputs, LOOP.create_future(), expires)


@given(requests, st.integers(1, 8), st.data())
@settings(max_examples=60, deadline=None)
def test_every_ticket_leaves_once_in_order_with_its_kind(asked, max_batch, data):
    queue = BatchQueue(max_batch, 0.0, 10_000)
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
    queue = BatchQueue(8, 0.0, 100)
    for side in (16, 8, 16):
        queue.put(ticket(side))
    first, _ = queue.take()
    assert [each.samples.shape[1] for each in first] == [16, 16]


def test_a_full_queue_refuses_and_takes_again_once_emptied():
    queue = BatchQueue(8, 0.0, 4)
    queue.put(ticket(count=3))
    with pytest.raises(Refusal, match="3 images wait already"):
        queue.put(ticket(count=2))
    queue.take()
    queue.put(ticket(count=2))
    assert queue.images == 2


def test_expired_tickets_are_handed_back_unstarted():
    queue = BatchQueue(8, 0.0, 100)
    late, timely = ticket(expires=time.monotonic() - 1), ticket()
    queue.put(late)
    queue.put(timely)
    assert queue.take() == ([timely], [late])
    assert late.stage is Stage.DROPPED
    assert timely.stage is Stage.STARTED
    assert not queue.withdraw(timely)


def test_a_delay_waits_for_a_batch_to_fill_but_not_longer_than_it_takes():
    queue = BatchQueue(4, 0.3, 100)
    queue.put(ticket(count=2))
    started = time.monotonic()
    assert len(queue.take()[0]) == 1
    assert time.monotonic() - started >= 0.25
    queue.put(ticket(count=2))
    queue.put(ticket(count=2))
    started = time.monotonic()
    assert len(queue.take()[0]) == 2
    assert time.monotonic() - started < 0.2
