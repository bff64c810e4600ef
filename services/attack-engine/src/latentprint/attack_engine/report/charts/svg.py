"""A minimal SVG writer: escaped, compact, typed."""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from markupsafe import Markup

from latentprint.core.text import visible

Point = tuple[float, float]


def element(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """One SVG element. Text children are escaped; in attribute names `_` stands for `-` and a last `_` is dropped."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _text(value))
        for key, value in attributes.items()
        if value is not None
    )
    content = Markup("").join(child if isinstance(child, Markup) else visible(child) for child in children)
    form = Markup("<{0}{1}>{2}</{0}>") if content else Markup("<{0}{1}/>")
    return form.format(name, written, content)


def group(children: Iterable[str], **attributes: str | float | None) -> Markup:
    """Elements that share attributes."""
    return element("g", *children, **attributes)


def text(content: str, x: float, y: float, **attributes: str | float | None) -> Markup:
    """A line of text with its baseline's start (or anchor) at (x, y)."""
    return element("text", content, x=x, y=y, **attributes)


def line(points: Sequence[Point], **attributes: str | float | None) -> Markup:
    """An open line through `points`."""
    return element("path", d=_path(points), fill="none", **attributes)


def area(upper: Sequence[Point], lower: Sequence[Point], **attributes: str | float | None) -> Markup:
    """The region between two lines of one direction."""
    return element("path", d=_path([*upper, *reversed(lower)]) + "Z", **attributes)


def thin(points: Sequence[Point], step: float = 0.7) -> list[Point]:
    """Leave out points that lie within `step` units of the last one kept; the ends stay."""
    kept: list[Point] = []
    for point in points:
        if not kept or max(abs(point[0] - kept[-1][0]), abs(point[1] - kept[-1][1])) >= step:
            kept.append(point)
    if kept and kept[-1] != points[-1]:
        kept.append(points[-1])
    return kept


def steps(points: Sequence[Point]) -> list[Point]:
    """The staircase through `points` that keeps each height until the next point."""
    corners = [corner for (_, y), after in pairwise(points) for corner in ((after[0], y), after)]
    return [*points[:1], *corners]


def number(value: float) -> str:
    """A coordinate with at most two decimals and no padding."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(value: str | float) -> str:
    return visible(value) if isinstance(value, str) else number(value)


def _path(points: Sequence[Point]) -> str:
    """Path data through the finite points; a reader sees a gap closed rather than no chart at all."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points if math.isfinite(x) and math.isfinite(y))
