"""What an audit's claim rests on, as plain data: controls, baselines, power, and the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """The verdict's kinds."""

    LEAK = "leak found"
    CONDITIONAL = "leak found, if drawn alike"
    INDICATED = "leak indicated"
    NONE = "none found at this power"
    REVERSED = "separates in the other direction"
    UNREADABLE = "not valid: nothing to read"
    INVALID = "not valid"

    @property
    def claims_leak(self) -> bool:
        """Whether it claims a leak, with or without a condition."""
        return self in (Outcome.LEAK, Outcome.CONDITIONAL, Outcome.INDICATED)

    @property
    def is_valid(self) -> bool:
        """Whether anything may be concluded from the audit."""
        return self not in (Outcome.UNREADABLE, Outcome.INVALID)


@dataclass(frozen=True)
class Verdict:
    """The outcome, one sentence a lay reader understands, and the reasons in order of weight."""

    outcome: Outcome
    sentence: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Victim:
    """The endpoint as it was seen. `card` is its metadata; `training` what is known of how it was made."""

    name: str
    url: str
    dataset: str
    card: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
