"""A driver asked with patience: again where that is safe and may help, and in halves where time ran out."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from latentprint.attack_engine.asking.drivers.driver import Connection, DriverError
from latentprint.attack_engine.asking.endpoint import Answers
from latentprint.core.samples import Samples

T = TypeVar("T")
_BACKOFF = wait_random_exponential(multiplier=0.1, max=5.0)


def repeated(call: Callable[[], T], seconds: float, resend: Callable[[], None] = lambda: None) -> T:
    """What `call` returns, called again with full jitter for `seconds` while it fails in a way that passes.

    Args:
        call: raises `DriverError`.
        seconds: no attempt begins later than this after the first.
        resend: called before every further attempt; may raise to forbid it.
    """
    attempts = Retrying(
        retry=retry_if_exception(lambda error: isinstance(error, DriverError) and error.repeat),
        stop=stop_after_delay(seconds),
        wait=_wait,
        before_sleep=lambda _: resend(),
        reraise=True,
    )
    return attempts(call)


def ask(
    driver: Connection,
    samples: Samples,
    outputs: Sequence[str],
    request_id: str,
    *,
    batch: int | None,
    seconds: float,
    resend: Callable[[], None],
) -> Answers:
    """Answer one request, asking again what is safe to ask again.

    An endpoint that was away is asked again, an overloaded one when it says so; a request that ran out of time is asked
    once more in two halves. Nothing else is repeated.

    Args:
        driver: how the endpoint is reached.
        samples: uint8 [B, H, W, 3] or float32 [B, F].
        outputs: what is asked for.
        request_id: of the request; its halves' ids begin with it.
        batch: samples that every request must hold; the last one is repeated up to it. None for any number.
        seconds: for the request, or each half, with all its attempts.
        resend: called before every further attempt; may raise to forbid it.

    Raises:
        EndpointError: the endpoint failed for good, or what it answered is not what it announced.
    """

    def answered(part: Samples, name: str) -> Answers:
        return repeated(
            lambda: _unfilled(driver.ask(_filled(part, batch), outputs, name), len(part), batch), seconds, resend
        )

    try:
        return answered(samples, request_id)
    except DriverError as error:
        if not error.out_of_time or len(samples) < 2 or batch:
            raise
        late = error
    resend()
    middle = len(samples) // 2
    try:
        halves = [answered(part, f"{request_id}-{i}") for i, part in enumerate((samples[:middle], samples[middle:]))]
    except DriverError as error:
        raise (late if error.out_of_time else error) from None
    return {name: np.concatenate([half[name] for half in halves]) for name in outputs}


def _filled(samples: Samples, batch: int | None) -> Samples:
    """The samples, with the last one repeated up to the number that a request must hold."""
    missing = (batch or 0) - len(samples)
    return samples if missing <= 0 else np.concatenate([samples, samples[-1:].repeat(missing, axis=0)])


def _unfilled(answers: Answers, count: int, batch: int | None) -> Answers:
    """The answers without those of the filling."""
    return {name: rows[:count] if len(rows) == batch else rows for name, rows in answers.items()}


def _wait(state: RetryCallState) -> float:
    """Full jitter, on top of the delay that an overloaded endpoint asks for."""
    error = state.outcome.exception() if state.outcome else None
    return (error.delay if isinstance(error, DriverError) else 0.0) + _BACKOFF(state)
