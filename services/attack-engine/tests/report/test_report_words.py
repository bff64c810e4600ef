"""Numbers as a reader sees them: one unit each, nothing that misleads."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latentprint.attack_engine.report import words
from latentprint.attack_engine.statistics.estimates import Interval


def plain(text: str) -> str:
    return text.replace(words.NBSP, " ").replace("\N{MINUS SIGN}", "-")


@pytest.mark.parametrize(
    ("rate", "text"), [(0.001, "0.1 %"), (0.01, "1 %"), (0.95, "95 %"), (1 - 0.05 / 14, "99.64 %"), (1e-5, "0.001 %")]
)
def test_chosen_rates_carry_no_padding(rate: float, text: str) -> None:
    assert plain(words.nominal(rate)) == text


@given(st.floats(0, 1))
def test_a_measured_rate_reads_back(rate: float) -> None:
    assert float(plain(words.percent(rate)).removesuffix(" %")) / 100 == pytest.approx(rate, abs=0.00051)


def test_intervals_name_their_unit_once() -> None:
    interval = Interval(0.0744, 0.1812, 0.95, "Clopper-Pearson")
    assert plain(words.percent_interval(interval)) == "[7.4, 18.1] %"
    assert plain(words.decimal_interval(interval)) == "[0.074, 0.181]"


@pytest.mark.parametrize(
    ("value", "text"), [(1e-5, "10⁻⁵"), (1e-10, "10⁻¹⁰"), (2e-5, "2e-05"), (0.1, "0.1"), (0.0, "0")]
)
def test_powers_of_ten(value: float, text: str) -> None:
    assert words.power(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.34, "0.3 s"), (59.99, "60.0 s"), (61, "1 min 1 s"), (7_260, "2 h 1 min"), (3_599.7, "1 h 0 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert plain(words.duration(seconds)) == text


def test_absent_numbers_are_words() -> None:
    assert words.decimal(math.nan) == "undefined"
    assert words.significant(math.inf) == "above every score"
    assert plain(words.p_value(1e-9)) == "< 0.001"


def test_settings_are_flattened_in_order() -> None:
    rows = dict(words.rows({"b": {"x": [1, 2.5], "y": {}}, "a": None, "c": True, "long": list(range(50))}))
    assert list(rows) == ["b.x", "b.y", "a", "c", "long"]
    assert rows["b.x"] == "1, 2.5"
    assert rows["a"] == "none"
    assert rows["c"] == "yes"
    assert rows["long"] == "0, 1, 2, …, 48, 49, (50 values)"
