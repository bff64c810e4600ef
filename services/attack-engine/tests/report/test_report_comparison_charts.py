"""The privacy-utility plane and the sweeps put each value where it belongs."""

import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.questions.membership.results import Sweep, SweepPoint
from latentprint.attack_engine.report.charts.plane import BOX, Spot, plane
from latentprint.attack_engine.report.charts.sweep import sweep_chart
from latentprint.attack_engine.report.figures import figures
from latentprint.attack_engine.report.membership.sweeps import AXES, axis_of
from latentprint.attack_engine.report.palette import PALETTE
from latentprint.attack_engine.statistics.estimates import Estimate, Interval


def estimate(value: float, half: float = 0.05) -> Estimate:
    return Estimate(value, Interval(value - half, value + half, 0.95, "DeLong"))


def sweep(name: str, *places: tuple[float, float]) -> Sweep:
    return Sweep(name, tuple(SweepPoint(x, estimate(auc), estimate(auc - 0.1)) for x, auc in places))


def of_class(chart: str, name: str) -> list[ElementTree.Element]:
    return [one for one in ElementTree.fromstring(chart).iter() if (one.get("class") or "") == name]


def test_more_useful_is_right_and_more_leakage_is_up() -> None:
    spots = [Spot(0.48, estimate(0.7), "undefended", False), Spot(0.3, estimate(0.6), "scsr (lower 0.4)", True)]
    chart = plane("partcrop", "Linear-probe accuracy", spots)
    ((ring,), (disc,)) = of_class(chart, "spot undefended"), of_class(chart, "spot defended")
    assert float(ring.get("cx", 0)) > float(disc.get("cx", 0))
    assert float(ring.get("cy", 0)) < float(disc.get("cy", 0))
    assert len(of_class(chart, "arrow")) == 2
    assert "undefended: 48.0\xa0%, 0.700 [0.650,\xa00.750]" in chart


def test_a_plane_without_an_undefended_victim_has_no_arrows() -> None:
    chart = plane("a", "k-NN accuracy", [Spot(0.4, estimate(0.6), "scsr", True), Spot(0.2, estimate(0.5), "dp", True)])
    assert of_class(chart, "arrow") == []


SPOTS = st.lists(
    st.builds(
        Spot,
        utility=st.floats(0, 1),
        auc=st.builds(estimate, st.floats(0.05, 0.95), st.floats(0, 0.05)),
        label=st.sampled_from(["undefended", "scsr (lower 0.4)", "strong-augmentation (kind adversarial)", "x" * 80]),
        defended=st.booleans(),
    ),
    min_size=1,
    max_size=8,
    unique=True,
)


@settings(deadline=None)
@given(SPOTS)
def test_labels_stay_inside_and_never_cover_one_another(spots: list[Spot]) -> None:
    chart = plane("a", "u", spots)
    labels = of_class(chart, "name")
    for side in ("start", "end"):
        baselines = sorted(float(one.get("y", 0)) for one in labels if one.get("text-anchor") == side)
        assert all(later - earlier > 12.9 for earlier, later in pairwise(baselines))
    assert all(BOX.top <= float(one.get("y", 0)) <= BOX.bottom for one in labels)
    assert all(len(one.text or "") <= 20 for one in labels)


def test_one_sweep_has_a_band_and_several_have_a_key() -> None:
    rising = sweep("knowledge", (0.1, 0.55), (0.3, 0.6), (0.5, 0.7))
    alone = sweep_chart(AXES["knowledge"], [("partcrop", rising)])
    assert len(of_class(alone, "band attack")) == 1
    assert of_class(alone, "key") == []
    both = sweep_chart(AXES["knowledge"], [("partcrop", rising), ("encodermi", rising)])
    assert of_class(both, "band attack") == []
    assert [one.text for one in of_class(both, "key")] == ["partcrop", "encodermi"]


def test_a_sweeps_ticks_are_its_own_places_and_its_tips_its_numbers() -> None:
    chart = sweep_chart(AXES["queries"], [("partcrop", sweep("queries", (17, 0.55), (129, 0.7), (1025, 0.8)))])
    labels = [one.text for one in of_class(chart, "label")]
    assert labels[-2:] == ["129", "1,025"]
    assert "AUC 0.550 [0.500" in chart
    assert "balanced accuracy 45.0" in chart


def test_more_of_it_is_further_right_and_higher_is_up() -> None:
    chart = sweep_chart(AXES["knowledge"], [("p", sweep("knowledge", (0.1, 0.55), (0.2, 0.65), (0.4, 0.75)))])
    marks = of_class(chart, "shape series-a")
    at = [tuple(map(float, re.findall(r"[\d.]+", one.get("transform") or ""))) for one in marks]
    (x1, y1), (x2, y2), (x3, y3) = at
    assert x3 - x2 == pytest.approx(2 * (x2 - x1), abs=0.05)
    assert y2 - y3 == pytest.approx(y1 - y2, abs=0.05)
    assert y1 > y2 > y3


@pytest.mark.parametrize("curves", [1, 2, 7, 12])
def test_any_number_of_curves_and_a_single_point_draw(curves: int) -> None:
    one = sweep("something else", (3.0, 0.5))
    chart = sweep_chart(axis_of("something else"), [(f"attack number {i}", one) for i in range(curves)])
    root = ElementTree.fromstring(chart)
    height = float((root.get("viewBox") or "").split()[-1])
    assert all(float(text.get("y", 0)) < height for text in of_class(chart, "key"))
    assert "nan" not in chart


def test_curves_of_one_chart_differ_in_more_than_colour() -> None:
    one = sweep("queries", (1, 0.5), (2, 0.6))
    chart = sweep_chart(AXES["queries"], [(str(i), one) for i in range(9)])
    kinds = {
        (mark.get("class"), mark.get("d"))
        for mark in ElementTree.fromstring(chart).iter()
        if (mark.get("class") or "").startswith("shape")
    }
    assert len(kinds) == 9


def test_sweeps_are_files_of_their_own_too(compared: Findings) -> None:
    audit = compared.audits[0]
    files = figures(replace(audit, figures=()))
    assert list(files) == ["roc.svg", "scores.svg", "sweep-knowledge.svg", "sweep-queries.svg"]
    assert b"var(" not in files["sweep-knowledge.svg"]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("series", [name for name in PALETTE if name.startswith("series-")])
@pytest.mark.parametrize("ground", ["page", "surface"])
def test_every_curve_can_be_told_from_its_ground(series: str, ground: str, scheme: int) -> None:
    light, dark = sorted((luminance(PALETTE[name][scheme]) for name in (series, ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
