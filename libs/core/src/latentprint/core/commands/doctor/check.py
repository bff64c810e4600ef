"""What one check found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """One line of `latentprint doctor`.

    Attributes:
        name: what was looked at.
        status: "ok"; "warn", something optional or soon to be a problem; "fail", something required is missing.
        found: what is there.
        advice: what to do; empty where there is nothing to do.
    """

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""
