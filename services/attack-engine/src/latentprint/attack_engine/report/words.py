"""Numbers as a reader sees them: rates in percent, AUC and p-values between 0 and 1, always with their unit."""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from latentprint.attack_engine.questions.header import Effect
from latentprint.attack_engine.statistics.estimates import Estimate, Interval

NBSP = "\N{NO-BREAK SPACE}"
LONGEST_LIST = 12
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def decimal(value: float, digits: int = 3) -> str:
    """A plain number with fixed digits; infinities and absent numbers in words."""
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "above every score" if value > 0 else "below every score"
    return f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def significant(value: float, digits: int = 4) -> str:
    """A number to `digits` significant digits, for thresholds and statistics of any size."""
    if not math.isfinite(value):
        return decimal(value)
    return f"{value:.{digits}g}".replace("-", "\N{MINUS SIGN}")


def percent(rate: float, digits: int = 1) -> str:
    """A measured fraction as a percentage: 0.123 -> "12.3 %"."""
    return f"{decimal(100 * rate, digits)}{NBSP}%"


def nominal(rate: float) -> str:
    """A chosen fraction (target, level) as a percentage without padding: 0.001 -> "0.1 %"."""
    return f"{float(f'{100 * rate:.6g}'):.4g}{NBSP}%"


def decimal_interval(interval: Interval, digits: int = 3) -> str:
    """An interval of plain numbers: "[0.661, 0.784]"."""
    return f"[{decimal(interval.low, digits)},{NBSP}{decimal(interval.high, digits)}]"


def percent_interval(interval: Interval, digits: int = 1) -> str:
    """An interval of fractions in percent: "[7.4, 18.1] %"."""
    return f"[{decimal(100 * interval.low, digits)},{NBSP}{decimal(100 * interval.high, digits)}]{NBSP}%"


def estimate(value: Estimate) -> str:
    """A plain number and its interval."""
    return f"{decimal(value.value)} {decimal_interval(value.interval)}"


def effect(measured: Effect) -> str:
    """An effect's estimate and its interval, as plain numbers."""
    return f"{decimal(measured.estimate)} {decimal_interval(measured.interval)}"


def moment(written: str) -> str:
    """A time in ISO 8601, UTC, to the minute: "2026-01-31 09:00 UTC"."""
    return f"{datetime.fromisoformat(written).astimezone(UTC):%Y-%m-%d %H:%M}{NBSP}UTC"


def signed(difference: float, digits: int = 3) -> str:
    """A plain number with its sign: 0.018 -> "+0.018"."""
    rounded = round(difference, digits)
    return f"{'+' if rounded > 0 else ''}{decimal(rounded or 0.0, digits)}"


def points(difference: float) -> str:
    """A difference of two fractions in percentage points, with its sign: -0.018 -> "−1.8 points"."""
    return f"{signed(100 * difference, 1)}{NBSP}points"


def power(value: float) -> str:
    """A small number as a power of ten where it is one: 1e-5 -> "10⁻⁵"."""
    mantissa, exponent = f"{value:.6e}".split("e")
    if float(mantissa) != 1 or value >= 0.1:
        return f"{value:g}"
    return "10" + str(int(exponent)).translate(SUPERSCRIPTS)


def unbroken(text: str) -> str:
    """`text` with its percent signs kept on the line of their numbers."""
    return text.replace(" %", f"{NBSP}%")


def p_value(value: float) -> str:
    """A p-value, bounded below where digits would mislead."""
    return f"<{NBSP}0.001" if value < 0.001 else decimal(value)


def count(value: int) -> str:
    """A whole number with thousands set apart."""
    return f"{value:,}"


def duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f}{NBSP}s"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    parts = [(hours, "h"), (minutes, "min")] if hours else [(minutes, "min"), (rest, "s")]
    return " ".join(f"{amount}{NBSP}{unit}" for amount, unit in parts)


def plural(number: int, one: str, many: str | None = None) -> str:
    """A count with its noun: "1 audit", "3 audits"."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def rows(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as (dotted key, text) pairs, in their own order."""
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from rows(value, f"{name}.")
        else:
            yield name, plain(value)


def plain(value: object) -> str:
    """Any setting as text; a long list keeps its ends and says how many values it has."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return _listing(value)
    return str(value)


def _listing(values: Sequence[object]) -> str:
    texts = [plain(value) for value in values]
    if len(texts) > LONGEST_LIST:
        texts = [*texts[:3], "…", *texts[-2:], f"({len(values)} values)"]
    return ", ".join(texts) if texts else "none"
