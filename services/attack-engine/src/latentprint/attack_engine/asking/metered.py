"""An endpoint with everything around its driver: kept answers, the budget's leases, throttle, checks and counts."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from threading import Lock
from types import TracebackType
from typing import Self
from uuid import uuid4

import numpy as np

from latentprint.attack_engine.asking.attempts import ask, repeated
from latentprint.attack_engine.asking.drivers.driver import Driver
from latentprint.attack_engine.asking.endpoint import Answers, Counts, EndpointCard
from latentprint.attack_engine.asking.kept_answers import KeptAnswers
from latentprint.attack_engine.asking.ledger import Lease, Ledger
from latentprint.attack_engine.asking.model_identity import ModelIdentityCheck, ModelIdentityWatch
from latentprint.attack_engine.asking.requests import QueryRequest, Throttle, images_per_request, split
from latentprint.core.errors import EndpointError
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
        driver: Driver,
        card: EndpointCard,
        ledger: Ledger,
        *,
        scope: str = "",
        request_images: int | None = None,
        kept: KeptAnswers | None = None,
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
        size = images_per_request(self.card, images.shape, outputs, self._request_images)
        alike: dict[str, list[QueryRequest]] = {}
        for request in split(self.card, images, outputs, size):
            alike.setdefault(request.id, []).append(request)
        answers: Answers = {}
        for name, found in self._find(alike, outputs):
            for request in alike[name]:
                _place(self.card.url, answers, request, found, len(images))
        return answers

    def _find(
        self, alike: Mapping[str, Sequence[QueryRequest]], outputs: Sequence[str]
    ) -> Iterator[tuple[str, Answers]]:
        """Answers by request id: kept ones first, then the rest, each asked once however often it occurs."""
        missing, cached = [], {}
        for name, requests in alike.items():
            found = None if self.kept is None else self.kept.read(name)
            if found is None:
                missing.append(requests[0])
                spared = requests[1:]
            else:
                self._take(None if self.kept is None else self.kept.taken(name))
                yield name, found
                spared = requests
            if spared:
                cached[name] = sum(len(request.images) for request in spared)
        self._note_cached(cached)
        yield from self._ask_all(missing, outputs)

    def _ask_all(self, requests: Sequence[QueryRequest], outputs: Sequence[str]) -> Iterator[tuple[str, Answers]]:
        if not requests:
            return
        sizes = {request.id: request.sent for request in requests}
        with self._ledger.lease(self.scope, sizes, idempotent=self.card.idempotent) as lease:
            if self._pool is None:
                for request in requests:
                    yield request.id, self._ask(request, outputs, lease)
                return
            futures = {self._pool.submit(self._ask, request, outputs, lease): request.id for request in requests}
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
        size = 1 if alone else images_per_request(self.card, samples.shape, outputs, self._request_images)
        answers: Answers = {}
        for request in split(self.card, samples, outputs, size):
            again = replace(request, id=uuid4().hex)
            sizes = {again.id: again.sent}
            with self._ledger.lease(scope, sizes, idempotent=self.card.idempotent) as lease:
                found = self._send(again, outputs, lease, lambda **_: None)
                _place(self.card.url, answers, again, found, len(samples))
                lease.answered(again.id)
        return answers

    def keep_watch(self, check: ModelIdentityCheck) -> None:
        """From now on check, while it asks, that the model stays the same; `query` then raises `ModelChangedError`."""
        self._watch = ModelIdentityWatch(check, self._driver.interruptions)

    def confirm(self) -> None:
        """Check that the model is still the same, where that is watched. Raises `ModelChangedError` for another."""
        if self._watch is not None:
            self._watch.confirm(self)

    def _ask(self, request: QueryRequest, outputs: Sequence[str], lease: Lease) -> Answers:
        count = len(request.images)
        answers = self._send(request, outputs, lease, self._count)
        for name in outputs:
            _check_vectors(self.card.url, name, answers, count)
        if self._watch is not None:
            self._watch.answered(self, count, self._driver.interruptions)
        if self.kept is not None:
            self.kept.write(request.id, answers)
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
            request.images,
            outputs,
            request.id,
            batch=self.card.batch,
            seconds=self._total_seconds,
            resend=sending,
        )

    def _take(self, when: float | None) -> None:
        if when is None:
            return
        with self._lock:
            first, last = self.taken or (when, when)
            self.taken = min(first, when), max(last, when)

    def _note_cached(self, cached: Mapping[str, int]) -> None:
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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _abandon(futures: dict[Future[Answers], str]) -> None:
    """Cancel what has not begun and wait for the rest, so that a lease is closed only when nothing is in flight."""
    for future in futures:
        future.cancel()
    for future in futures:
        if not future.cancelled():
            future.exception()


def _place(url: str, answers: Answers, request: QueryRequest, found: Answers, total: int) -> None:
    """Put a request's rows among those of its query. Raises `EndpointError` where they have other shapes."""
    for name, rows in found.items():
        if name not in answers:
            answers[name] = np.empty((total, *rows.shape[1:]), dtype=np.float32)
        if len(rows) != len(request.images):
            raise _other_number(url, name, len(rows), len(request.images))
        if answers[name].shape[1:] != rows.shape[1:]:
            shapes = f"{list(answers[name].shape[1:])} and {list(rows.shape[1:])}"
            raise EndpointError(
                f"{url} answered {name!r} of the shapes {shapes} to samples of one size: if its model changed, run the "
                "command again."
            )
        answers[name][request.start : request.stop] = rows


def _other_number(url: str, name: str, rows: int, count: int) -> EndpointError:
    return EndpointError(f"{url} answered {rows} rows of {name!r} for {count} images: it is not usable as it is.")


def _check_vectors(url: str, name: str, answers: Answers, count: int) -> None:
    """Raise `EndpointError` unless output `name` holds `count` finite vectors, none of them all zeros."""
    if name not in answers or len(answers[name]) != count:
        raise _other_number(url, name, len(answers[name]) if name in answers else 0, count)
    rows2 = answers[name].reshape(count, -1)
    finite = np.isfinite(rows2).all(axis=1)
    bad, empty = int((~finite).sum()), int((~rows2.any(axis=1)).sum())
    if bad or empty:
        raise EndpointError(
            f"{url} answered {bad} non-finite and {empty} all-zero {name!r} vectors for {count} images: "
            "no attack can use them; look at the model it serves."
        )
