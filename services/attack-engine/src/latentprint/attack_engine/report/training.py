"""What a victim's training summary says, read from the free mapping that it is."""

from collections.abc import Mapping
from typing import Any


def number(mapping: Mapping[str, Any], key: str) -> float | None:
    """The number at `key`; None where there is none."""
    value = mapping.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
