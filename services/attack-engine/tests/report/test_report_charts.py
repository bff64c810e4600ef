"""Charts put each value where it belongs, and survive what real scores do."""

import math
import re
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.questions.header import Effect
from latentprint.attack_engine.report.charts.correlations import DEEPEST, correlation_matrices
from latentprint.attack_engine.report.charts.curves import curves
from latentprint.attack_engine.report.charts.histogram import histogram
from latentprint.attack_engine.report.charts.roc import BOX, roc
from latentprint.attack_engine.report.charts.scales import Linear, Logarithmic
from latentprint.attack_engine.report.charts.strip import strips
from latentprint.attack_engine.report.charts.svg import thin
from latentprint.attack_engine.report.figures import figures
from latentprint.attack_engine.report.palette import PALETTE
from latentprint.attack_engine.statistics.estimates import Histogram, Interval, Roc
from latentprint.attack_engine.statistics.figures import Correlations, Curves

SVG = "{http://www.w3.org/2000/svg}"


def points(chart: str, kind: str) -> list[list[tuple[float, float]]]:
    """The vertices of each path whose class is `kind`: the curve, then its entry in the key."""
    paths = [p.get("d", "") for p in ElementTree.fromstring(chart).iter(f"{SVG}path") if p.get("class") == kind]
    return [[(float(x), float(y)) for x, y in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)] for path in paths]


@given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
def test_linear_ticks_lie_inside_and_are_few(low: float, span: float) -> None:
    scale = Linear(low, low + span, 0, 100)
    ticks = [value for value, _ in scale.ticks()]
    assert len(ticks) <= 7
    assert all(
        low - 1e-6 * span - 1e-9 * abs(low) <= tick <= low + span * (1 + 1e-6) + 1e-9 * abs(low) for tick in ticks
    )


def test_scales_hold_values_at_their_ends() -> None:
    assert Linear(0, 1, 50, 410)(2.0) == 410
    assert Linear(3, 3, 0, 10)(3) == 5
    log = Logarithmic(0.001, 1, 0, 300)
    assert [round(log(v)) for v in (0.0, 0.001, 0.01, 0.1, 1.0)] == [0, 0, 100, 200, 300]
    assert [label for _, label in log.ticks()] == ["0.1", "1", "10", "100"]


def test_thinning_keeps_the_ends_and_the_shape() -> None:
    line = [(i / 100, (i / 100) ** 2) for i in range(10_001)]
    kept = thin(line, step=0.7)
    assert kept[0] == line[0]
    assert kept[-1] == line[-1]
    assert len(kept) < 15_000 / 0.7
    assert all(max(abs(a[0] - b[0]), abs(a[1] - b[1])) < 250 for a, b in pairwise(kept))


def test_the_roc_passes_through_its_points(findings: Findings) -> None:
    simple = Roc((0.0, 0.01, 0.1, 1.0), (0.02, 0.1, 0.5, 1.0), (0.01, 0.05, 0.4, 1.0), (0.05, 0.2, 0.6, 1.0), 0.95)
    evaluation = replace(findings.audits[0].result.evaluation, roc=simple)
    line, _ = points(roc(evaluation), "series attack")
    floor = 1 / (3 * evaluation.non_members)

    def x(rate: float) -> float:
        share = math.log(max(rate, floor) / floor) / math.log(1 / floor)
        return BOX.left + share * (BOX.right - BOX.left)

    corners = line[1::2]
    assert [point[0] for point in line[::2]] == pytest.approx([x(r) for r in simple.fpr], abs=0.01)
    assert [corner[0] for corner in corners] == pytest.approx([x(r) for r in simple.fpr[1:]], abs=0.01)
    assert [corner[1] for corner in corners] == [point[1] for point in line[:-1:2]]
    assert line[0][0] == BOX.left
    assert line[-1] == pytest.approx((BOX.right, BOX.top))


def test_the_roc_shades_what_cannot_be_measured(findings: Findings) -> None:
    evaluation = findings.audits[0].result.evaluation
    root = ElementTree.fromstring(roc(evaluation))
    (shade,) = [r for r in root.iter(f"{SVG}rect") if r.get("class") == "unresolvable"]
    assert float(shade.get("width", 0)) > 0
    assert "below 1 false positive in 100" in "".join(root.itertext())


def test_histograms_show_shares_of_unequal_sides(findings: Findings) -> None:
    chart = histogram(Histogram((0.0, 1.0, 2.0), (1, 3), (250, 750)))
    assert points(chart, "series members")[0] == points(chart, "series non-members")[0]
    assert "members 25.0" in chart


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=60))
def test_few_scores_get_few_bins_and_none_is_lost(counts: list[tuple[int, int]]) -> None:
    members, non_members = (tuple(side) for side in zip(*counts, strict=True))
    scores = Histogram(tuple(float(i) for i in range(len(counts) + 1)), members, non_members)
    chart = histogram(scores)
    shown = re.findall(r"members [\d.]+\xa0% \((\d+)\)", chart)
    assert sum(map(int, shown)) == sum(members) + sum(non_members)
    assert len(shown) / 2 <= max(8, 2 * math.sqrt(min(sum(members), sum(non_members))))


@pytest.mark.parametrize("scores", [Histogram((1.0, 1.0), (4,), (4,)), Histogram((0.0, 1.0), (0,), (0,))])
def test_degenerate_histograms_draw(scores: Histogram) -> None:
    ElementTree.fromstring(histogram(scores))


def test_curves_show_the_difference_and_survive_undefined_errors() -> None:
    flat = Curves("t", "x", "y", (2.0, 2.0), (0.1, math.nan), (1.0, 1.0), (0.1, 0.1))
    chart = curves(flat)
    assert "nan" not in re.sub(r'data-tips="[^"]*"', "", chart)
    difference, _ = points(chart, "series attack")
    assert difference[0][1] == difference[1][1]


def test_one_point_curves_draw() -> None:
    ElementTree.fromstring(curves(Curves("t", "x", "y", (2.0,), (0.1,), (1.0,), (0.1,))))


def test_matrices_say_every_pair_and_tint_it_by_its_size_and_sign() -> None:
    data = Correlations("C", ("loss", "max"), ((1.0, -0.8), (-0.8, 1.0)), ((1.0, -0.3), (-0.3, None)))
    charts = dict(correlation_matrices(data))
    assert list(charts) == ["members", "non-members", "members less non-members"]
    roots = {side: ElementTree.fromstring(chart) for side, chart in charts.items()}
    values = {
        side: [t.text for t in root.iter(f"{SVG}text") if t.get("class") == "value"] for side, root in roots.items()
    }
    assert values["members"] == ["1.00", "−0.80", "−0.80", "1.00"]
    assert values["non-members"] == ["1.00", "−0.30", "−0.30", "–"]
    assert values["members less non-members"] == ["0.00", "−0.50", "−0.50", "–"]
    tints = [(r.get("class"), float(r.get("fill-opacity", ""))) for r in roots["members"].iter(f"{SVG}rect")]
    assert [kind for kind, _ in tints] == ["tint above", "tint below", "tint below", "tint above"]
    assert [depth for _, depth in tints] == pytest.approx([DEEPEST, 0.8 * DEEPEST, 0.8 * DEEPEST, DEEPEST])
    assert roots["members"].get("aria-label") == "C, members: max and loss −0.80"


def test_strips_hold_every_interval_and_chance(findings: Findings) -> None:
    scale = strips(findings.audits)
    for audit in findings.audits:
        for effect in (audit.effect, *(control.effect for control in audit.controls)):
            assert scale.low <= effect.interval.low
            assert scale.high >= effect.interval.high
    effect = Effect("AUC", 0.6, Interval(0.55, 0.65, 0.95, "DeLong"), 0.5)
    root = ElementTree.fromstring(scale.strip(effect, "leak"))
    (bar,) = [line for line in root.findall(".//{*}line") if line.get("class") == "bar"]
    span = scale.high - scale.low
    assert float(str(bar.get("x1"))[:-1]) == pytest.approx(100 * (0.55 - scale.low) / span, abs=0.01)


def test_every_kind_of_mark_has_its_own_shape(findings: Findings) -> None:
    scale = strips(findings.audits)
    auc = findings.audits[0].effect
    shapes = {re.sub(r'class="[^"]*"', "", scale.strip(auc, kind)) for kind in ("leak", "none", "invalid", "control")}
    assert len(shapes) == 4


def test_figures_are_files_that_stand_alone(findings: Findings) -> None:
    files = figures(findings.audits[0])
    assert list(files) == [
        "roc.svg",
        "scores.svg",
        "curves-1-part-response-uniform-energy.svg",
        "curves-2-part-response-gaussian-energy.svg",
    ]
    for content in files.values():
        root = ElementTree.fromstring(content)
        assert root.tag == f"{SVG}svg"
        assert b"var(" not in content
        assert b"#2457c5" in content
        assert len(content) < 60_000


def test_figures_of_sequences_are_files_too(findings: Findings) -> None:
    files = figures(findings.audits[4])
    stem = "correlations-1-correlation-between-metric-sequences"
    assert list(files)[2:] == [
        f"{stem}-members.svg",
        f"{stem}-non-members.svg",
        f"{stem}-members-less-non-members.svg",
        "histogram-1-fluctuation-of-gaussian-energy.svg",
    ]
    assert b"Histogram of Fluctuation of gaussian-energy" in files["histogram-1-fluctuation-of-gaussian-energy.svg"]
    assert all(b"var(" not in content for content in files.values())


def test_file_names_hold_no_strange_characters(findings: Findings) -> None:
    audit = findings.audits[0]
    odd = replace(audit, figures=(replace(audit.figures[0], title="../É <b>"), replace(audit.figures[0], title="///")))
    assert list(figures(odd))[2:] == ["curves-1-b.svg", "curves-2.svg"]


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("side", ["members", "non-members"])
def test_the_deepest_tint_of_a_matrix_leaves_its_number_readable(side: str, scheme: int) -> None:
    tint, ground = PALETTE[side][scheme], PALETTE["surface"][scheme]
    mixed = [round(DEEPEST * int(tint[i : i + 2], 16) + (1 - DEEPEST) * int(ground[i : i + 2], 16)) for i in (1, 3, 5)]
    assert contrast(PALETTE["ink"][scheme], "#{:02x}{:02x}{:02x}".format(*mixed)) >= 4.5


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        *((text, ground) for text in ("ink", "muted", "accent") for ground in ("page", "surface", "sunken")),
        *((kind, f"{kind}-tint") for kind in ("leak", "none", "invalid")),
        *(("ink", f"{kind}-tint") for kind in ("leak", "none", "invalid")),
        *(("muted", f"{kind}-tint") for kind in ("leak", "none", "invalid")),
        *((kind, ground) for kind in ("leak", "none", "invalid") for ground in ("page", "surface")),
        *((side, "surface") for side in ("members", "non-members")),
    ],
)
def test_text_has_the_contrast_that_wcag_aa_asks_for(text: str, ground: str, scheme: int) -> None:
    assert contrast(PALETTE[text][scheme], PALETTE[ground][scheme]) >= 4.5
