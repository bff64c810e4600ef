"""What an audit spent on asking."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Queries:
    """Images, not requests: sent over the wire, answered, taken from kept answers, sent again after a failure.

    `canaries` were asked beside them, once for all attacks on the endpoint, to tell whether its model stayed the same;
    `unchecked` says why a change would have passed unseen, "" where it would not. The first and the last answer's times
    are UTC, in ISO 8601; "" where they are not known.
    """

    sent: int
    answered: int
    cached: int
    retried: int
    budget: int | None
    seconds: float
    first_answer: str = ""
    last_answer: str = ""
    canaries: int = 0
    unchecked: str = ""
