"""The ROC curve on log-log axes, where the rates that matter to an attack are visible."""

from markupsafe import Markup

from latentprint.attack_engine.questions.membership.results import Evaluation
from latentprint.attack_engine.report.charts.frame import Box, Key, axes, drawing, key
from latentprint.attack_engine.report.charts.scales import Logarithmic
from latentprint.attack_engine.report.charts.svg import Point, area, element, group, line, steps, text, thin
from latentprint.attack_engine.report.words import NBSP, count, nominal, percent, plural
from latentprint.attack_engine.statistics.estimates import TprAtFpr

BOX = Box()


def roc(evaluation: Evaluation) -> Markup:
    """ROC with its pointwise band, the chance line and the operating points at the target FPRs.

    Rates below 1 / non-members cannot be measured: that part of the plot is shaded and says so.
    """
    floor = 1 / (3 * evaluation.non_members)
    x = Logarithmic(floor, 1.0, BOX.left, BOX.right)
    y = Logarithmic(floor, 1.0, BOX.bottom, BOX.top)
    curve = evaluation.roc
    points = [(x(fpr), y(tpr)) for fpr, tpr in zip(curve.fpr, curve.tpr, strict=True)]
    upper = [(x(fpr), y(tpr)) for fpr, tpr in zip(curve.fpr, curve.tpr_high, strict=True)]
    lower = [(x(fpr), y(tpr)) for fpr, tpr in zip(curve.fpr, curve.tpr_low, strict=True)]
    operating = [_operating_point(x, y, rate) for rate in evaluation.tpr_at_fpr if rate.resolvable]
    entries = [Key(f"attack, {nominal(curve.level)} band", "series attack"), Key("chance", "chance")]
    if operating:
        entries.append(Key("at target FPR", "dot"))
    label = f"ROC curve on log-log axes, area {evaluation.auc.value:.3f}, against the chance diagonal"
    return drawing(
        BOX,
        label,
        _unresolvable(x, evaluation.non_members),
        axes(BOX, x, y, f"False-positive rate,{NBSP}%", f"True-positive rate,{NBSP}%"),
        line([(x(floor), y(floor)), (x(1.0), y(1.0))], class_="chance"),
        area(steps(thin(upper)), steps(thin(lower)), class_="band attack"),
        line(steps(thin(points)), class_="series attack"),
        group(operating),
        key(entries, BOX),
        tips=_tips(evaluation, points),
    )


def _unresolvable(x: Logarithmic, non_members: int) -> Markup:
    edge = x(1 / non_members)
    middle = (BOX.left + edge) / 2
    words = text(
        f"below 1 false positive in {count(non_members)}",
        0,
        0,
        class_="note",
        text_anchor="middle",
        transform=f"translate({middle + 4:.1f} {(BOX.top + BOX.bottom) / 2:g}) rotate(-90)",
    )
    shade = element(
        "rect", x=BOX.left, y=BOX.top, width=edge - BOX.left, height=BOX.bottom - BOX.top, class_="unresolvable"
    )
    return group([shade, words])


def _operating_point(x: Logarithmic, y: Logarithmic, rate: TprAtFpr) -> Markup:
    """A dot with its interval, the threshold's own uncertainty included where it is known."""
    interval = rate.threshold_interval or rate.interval
    if rate.tpr is None or rate.realised_fpr is None or interval is None:
        raise ValueError("an unresolvable rate has no operating point")
    at = x(rate.realised_fpr)
    words = element("title", f"TPR at {nominal(rate.target_fpr)} FPR: {percent(rate.tpr)}")
    whisker = line([(at, y(interval.low)), (at, y(interval.high))], class_="whisker")
    return group([words, whisker, element("circle", cx=at, cy=y(rate.tpr), r=4.5, class_="dot")])


def _tips(evaluation: Evaluation, points: list[Point]) -> list[tuple[Point, str]]:
    curve = evaluation.roc
    kept = set(thin(points, step=5))
    tips: list[tuple[Point, str]] = []
    for i, point in enumerate(points):
        if point not in kept:
            continue
        kept.discard(point)
        positives = round(curve.fpr[i] * evaluation.non_members)
        tips.append(
            (
                point,
                f"TPR {percent(curve.tpr[i])} [{100 * curve.tpr_low[i]:.1f}, {100 * curve.tpr_high[i]:.1f}]\n"
                f"FPR {percent(curve.fpr[i])} ({plural(positives, 'false positive')})",
            )
        )
    return tips
