"""What every chart shares: its size, its axes, its key and its hover points."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from latentprint.attack_engine.report.charts.scales import Scale
from latentprint.attack_engine.report.charts.svg import Point, element, group, line, text


@dataclass(frozen=True)
class Box:
    """A plot's rectangle inside a drawing of `width` x `height`."""

    width: float = 420
    height: float = 340
    left: float = 50
    right: float = 410
    top: float = 34
    bottom: float = 290


@dataclass(frozen=True)
class Key:
    """One entry of a chart's key: `mark` is the CSS class of a line, or "dot"."""

    label: str
    mark: str


def drawing(box: Box, label: str, *parts: str, tips: Sequence[tuple[Point, str]] = ()) -> Markup:
    """A whole chart. `label` describes it to those who cannot see it; `tips` are shown on hover and on arrow keys."""
    points = json.dumps([[round(x, 1), round(y, 1), words] for (x, y), words in tips], ensure_ascii=False)
    return element(
        "svg",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {box.width:g} {box.height:g}",
        class_="chart",
        role="img",
        aria_label=label,
        data_tips=points if tips else None,
        data_span=f"{box.top:g} {box.bottom:g}" if tips else None,
    )


def axes(box: Box, x: Scale, y: Scale, x_label: str, y_label: str) -> Markup:
    """Grid, tick labels and axis titles."""
    horizontal = [
        group([line([(box.left, y(value)), (box.right, y(value))], class_="grid"), _y_label(box, y(value), label)])
        for value, label in y.ticks()
    ]
    vertical = [
        group(
            [line([(x(value), box.bottom), (x(value), box.bottom + 4)], class_="tick"), _x_label(box, x(value), label)]
        )
        for value, label in x.ticks()
    ]
    middle = (box.top + box.bottom) / 2
    titles = [
        text(x_label, (box.left + box.right) / 2, box.bottom + 38, class_="title", text_anchor="middle"),
        text(y_label, 0, 0, class_="title", text_anchor="middle", transform=f"translate(11 {middle:g}) rotate(-90)"),
    ]
    base = line([(box.left, box.bottom), (box.right, box.bottom)], class_="base")
    return group([*horizontal, base, *vertical, *titles])


def key(entries: Sequence[Key], box: Box, baseline: float = 16) -> Markup:
    """The chart's key, in a row above the plot."""
    parts: list[Markup] = []
    at = box.left
    for entry in entries:
        parts += [_mark(entry.mark, at, baseline - 4), text(entry.label, at + 28, baseline, class_="key")]
        at += 44 + 6 * len(entry.label)
    return group(parts)


def _mark(mark: str, x: float, y: float) -> Markup:
    if mark == "dot":
        return element("circle", cx=x + 11, cy=y, r=4, class_="dot")
    return line([(x, y), (x + 22, y)], class_=mark)


def _x_label(box: Box, x: float, label: str) -> Markup:
    return text(label, x, box.bottom + 18, class_="label", text_anchor="middle")


def _y_label(box: Box, y: float, label: str) -> Markup:
    return text(label, box.left - 8, y + 4, class_="label", text_anchor="end")
