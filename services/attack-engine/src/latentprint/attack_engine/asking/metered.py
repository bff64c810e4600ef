"""An endpoint with everything around its driver: kept answers, the budget's leases, throttle, checks and counts."""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from threading import Lock
from types import TracebackType
from typing import Self
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.answer_log import Keys
from latentprint.attack_engine.asking.answer_store import AnswerStore, answer_keys, sample_digests
from latentprint.attack_engine.asking.attempts import ask, repeated
from latentprint.attack_engine.asking.drivers.driver import Connection
from latentprint.attack_engine.asking.endpoint import Answers, Counts, EndpointCard
from latentprint.attack_engine.asking.ledger import Lease, Ledger
from latentprint.attack_engine.asking.model_identity import ModelIdentityCheck, ModelIdentityWatch
from latentprint.attack_engine.asking.query_answers import QueryAnswers, check_vectors
from latentprint.attack_engine.asking.requests import (
    QueryRequest,
    Rows,
    Throttle,
    images_per_request,
    request_id,
    split,
)
from latentprint.core.samples import Samples


class MeteredEndpoint:
    """Asks a driver in requests of one size, several in flight, each no more than once.

    Args:
        driver: how the model is reached; its card was read.
        card: what the endpoint said of itself.
        ledger: where the budget is leased from.
        scope: what the counts are kept under in the ledger.
        request_images: images in a request; the endpoint's own preference if None.
        kept: answers from before, and where new ones are kept; None keeps nothing.
        throttle: limit on images per second.
        total_seconds: time for one request with all its attempts.

    `taken` is when the first and the last of
    the answers given since it was last set to None were taken, seconds since the epoch.
    """

    def __init__(
        self,
        driver: Connection,
        card: EndpointCard,
        ledger: Ledger,
        *,
        scope: str = "",
        request_images: int | None = None,
        kept: AnswerStore | None = None,
        throttle: Throttle | None = None,
        total_seconds: float = 120.0,
    ) -> None:
        self._driver = driver
        self._card = card
        self._total_seconds = total_seconds
        self._ledger = ledger
        self._request_images = request_images
        self._throttle = throttle
        self._pool = ThreadPoolExecutor(driver.in_flight, thread_name_prefix="query") if driver.in_flight > 1 else None
        self._counts = Counts()
        self._lock = Lock()
        self.kept = kept
        self.scope = scope
        self._watch: ModelIdentityWatch | None = None
        self.taken: tuple[float, float] | None = None

    @property
    def card(self) -> EndpointCard:
        """What the endpoint says of itself."""
        return self._card

    @property
    def counts(self) -> Counts:
        """Images sent, answered, cached and retried by this object."""
        return self._counts

    def query(self, images: Samples, outputs: Sequence[str]) -> Answers:
        """Answers of `outputs` for uint8 images [B, H, W, 3] or vectors float32 [B, F]: float32 [B, ...] each.

        Raises:
            UsageError: an output that is not public.
            EndpointError: samples of another kind or size than it takes, of which nothing was sent; the endpoint failed
                for good, or answered zero or non-finite vectors.
            BudgetError: the budget does not cover what is missing; nothing was sent.
        """
        self.card.check_outputs(outputs)
        self.card.check_sample(images.shape[1:])
        size = self._images_per_request(images.shape, outputs)
        digests = sample_digests(images)
        _, first, alike = np.unique(digests, return_index=True, return_inverse=True)
        answers = QueryAnswers(self.card.url, len(images))
        kept = self._take_kept(digests, np.sort(first), outputs, answers)
        missing, whole = split(np.sort(first), kept, size)
        self._note_cached(digests, whole, outputs, len(images) - len(first))
        requests = [QueryRequest.of(self.card, images, digests, rows, outputs) for rows in missing]
        for request, found in self._ask_all(requests, outputs):
            answers.place(request.rows, found)
        return answers.repeated(first[alike])

    def _images_per_request(self, shape: tuple[int, ...], outputs: Sequence[str]) -> int:
        rate = None if self._throttle is None else self._throttle.images_per_second
        return images_per_request(self.card, shape, outputs, self._request_images, rate)

    def _take_kept(self, digests: Keys, rows: Rows, outputs: Sequence[str], answers: QueryAnswers) -> NDArray[np.bool_]:
        """Put kept answers about the samples at `rows` [U] into `answers`; returns for which [U] nothing is missing."""
        complete = np.ones(len(rows), dtype=bool)
        for name in outputs:
            found = np.zeros(len(rows), dtype=bool)
            keys = answer_keys(self.card.identity, name, digests[rows])
            for places, values, when in () if self.kept is None else self.kept.read(keys):
                answers.place(rows[places], {name: values})
                found[places] = True
                self._take(when)
                if self._watch is not None:
                    self._watch.found(when)
            complete &= found
        return complete

    def _ask_all(
        self, requests: Sequence[QueryRequest], outputs: Sequence[str]
    ) -> Iterator[tuple[QueryRequest, Answers]]:
        if not requests:
            return
        sizes = {request.id: request.sent for request in requests}
        with self._ledger.lease(self.scope, sizes, idempotent=self.card.idempotent) as lease:
            if self._pool is None:
                for request in requests:
                    yield request, self._ask(request, outputs, lease)
                return
            futures = {self._pool.submit(self._ask, request, outputs, lease): request for request in requests}
            try:
                for future in as_completed(futures):
                    yield futures[future], future.result()
            finally:
                _abandon(futures)

    def read_card(self) -> EndpointCard:
        """What the endpoint says of itself now; one that is away is waited for as long as a request is."""
        return repeated(self._driver.read_card, self._total_seconds)

    def ask_anew(self, samples: Samples, outputs: Sequence[str], *, scope: str, alone: bool) -> Answers:
        """Answers that the endpoint gives now, neither looked up nor kept, charged to `scope` and counted nowhere else.

        Args:
            samples: uint8 [B, H, W, 3] or float32 [B, F].
            outputs: what is asked for.
            scope: see `Ledger`.
            alone: one sample a request, where otherwise it is the usual number.
        """
        size = 1 if alone else self._images_per_request(samples.shape, outputs)
        answers, digests = QueryAnswers(self.card.url, len(samples)), sample_digests(samples)
        for rows in np.split(np.arange(len(samples)), range(size, len(samples), size)):
            request = replace(QueryRequest.of(self.card, samples, digests, rows, outputs), id=uuid4().hex)
            sizes = {request.id: request.sent}
            with self._ledger.lease(scope, sizes, idempotent=self.card.idempotent) as lease:
                answers.place(rows, self._send(request, outputs, lease, lambda **_: None))
                lease.answered(request.id)
        return answers.repeated(np.arange(len(samples)))

    def keep_watch(self, check: ModelIdentityCheck) -> None:
        """From now on check, while it asks, that the model stays the same; `query` then raises `ModelChangedError`."""
        self._watch = ModelIdentityWatch(check, self._driver.interruptions)

    def confirm(self) -> None:
        """Check that the model is still the same, where that is watched. Raises `ModelChangedError` for another."""
        if self._watch is not None:
            self._watch.confirm(self)

    def _ask(self, request: QueryRequest, outputs: Sequence[str], lease: Lease) -> Answers:
        count = len(request.samples)
        answers = self._send(request, outputs, lease, self._count)
        for name in outputs:
            check_vectors(self.card.url, name, answers, count)
        if self._watch is not None:
            self._watch.answered(self, count, self._driver.interruptions)
        if self.kept is not None:
            keys = {name: answer_keys(self.card.identity, name, request.digests) for name in outputs}
            self.kept.write({name: (keys[name], answers[name]) for name in outputs})
        lease.answered(request.id)
        self._count(answered=count)
        self._take(time.time())
        return answers

    def _send(self, request: QueryRequest, outputs: Sequence[str], lease: Lease, note: Callable[..., None]) -> Answers:
        count = request.sent

        def sending() -> None:
            again = lease.sending(request.id)
            note(retried=count) if again else note(sent=count)

        if self._throttle is not None:
            self._throttle.wait(count)
        sending()
        return ask(
            self._driver,
            request.samples,
            outputs,
            request.id,
            batch=self.card.batch,
            seconds=self._total_seconds,
            resend=sending,
        )

    def _take(self, when: float) -> None:
        with self._lock:
            first, last = self.taken or (when, when)
            self.taken = min(first, when), max(last, when)

    def _note_cached(self, digests: Keys, groups: Sequence[Rows], outputs: Sequence[str], repeats: int) -> None:
        cached = {request_id(self.card, digests[rows], outputs): len(rows) for rows in groups}
        if repeats:
            cached["repeats"] = repeats
        if cached:
            self._ledger.kept(self.scope, cached)
            self._count(cached=sum(cached.values()))

    def _count(self, *, sent: int = 0, answered: int = 0, cached: int = 0, retried: int = 0) -> None:
        with self._lock:
            self._counts += Counts(sent, answered, cached, retried)

    def close(self) -> None:
        """Close the driver and the ledger."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._driver.close()
        self._ledger.close()
        if self.kept is not None:
            self.kept.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _abandon(futures: dict[Future[Answers], QueryRequest]) -> None:
    """Cancel what has not begun and wait for the rest, so that a lease is closed only when nothing is in flight."""
    for future in futures:
        future.cancel()
    for future in futures:
        if not future.cancelled():
            future.exception()
