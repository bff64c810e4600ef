"""Scales from data to drawing units, and ticks a reader can name."""

import math
from dataclasses import dataclass
from typing import Protocol


class Scale(Protocol):
    """Maps a value to a coordinate and names its own ticks."""

    def __call__(self, value: float) -> float:
        """The coordinate of `value`."""
        ...

    def ticks(self) -> list[tuple[float, str]]:
        """Values worth a label, each with it."""
        ...


@dataclass(frozen=True)
class Linear:
    """A straight scale from [low, high] to [start, end]; values outside are held at the ends."""

    low: float
    high: float
    start: float
    end: float
    about: int = 5
    unit: float = 1.0

    def __call__(self, value: float) -> float:
        """The coordinate of `value`; the middle where the domain is a single value."""
        span = self.high - self.low
        share = (value - self.low) / span if span > 0 else 0.5
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Round values inside the domain, labelled in units of 1 / `unit` (100 labels fractions in percent)."""
        low, high = self.low * self.unit, self.high * self.unit
        step = _round_step((high - low) / self.about)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        digits = max(0, -math.floor(math.log10(step)))
        return [(k * step / self.unit, _signed(k * step, digits)) for k in range(first, last + 1)]


@dataclass(frozen=True)
class Logarithmic:
    """A log scale from [low, high] (both positive) to [start, end]; smaller values, zero included, sit at the start."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The coordinate of `value`, held inside the domain."""
        held = min(max(value, self.low), self.high)
        return self.start + math.log(held / self.low) / math.log(self.high / self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Powers of ten, labelled in percent: rates are what log axes show here."""
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        return [(10.0**k, f"{100 * 10.0**k:g}") for k in range(first, last + 1)]


def _round_step(rough: float) -> float:
    """The 1, 2 or 5 times a power of ten nearest above `rough`."""
    if not math.isfinite(rough) or rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))


def _signed(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}") if value else "0"
