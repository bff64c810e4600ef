"""Every colour of the report, once: name -> (light, dark)."""

import re
from collections.abc import Mapping
from types import MappingProxyType

PALETTE: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "page": ("#f8f7f4", "#12151a"),
        "surface": ("#ffffff", "#1a1e25"),
        "sunken": ("#f1f0eb", "#222730"),
        "ink": ("#1b212b", "#e7eaef"),
        "muted": ("#59616d", "#a4adba"),
        "line": ("#e1dfd8", "#323945"),
        "axis": ("#a9a89f", "#586171"),
        "accent": ("#2353b0", "#8fb6ff"),
        "members": ("#2457c5", "#7fabff"),
        "non-members": ("#b25c05", "#f2ad52"),
        "series-a": ("#2457c5", "#7fabff"),
        "series-b": ("#a35304", "#f2ad52"),
        "series-c": ("#2b7330", "#7fd08a"),
        "series-d": ("#7b3fb5", "#c79bf2"),
        "series-e": ("#b02a78", "#f08cc4"),
        "series-f": ("#0b6a7c", "#5cc8dc"),
        "series-g": ("#7a4b2a", "#d3a684"),
        "leak": ("#b3261e", "#ff8f86"),
        "leak-tint": ("#fcefed", "#36201f"),
        "none": ("#1c6b59", "#73d3b9"),
        "none-tint": ("#eaf4f1", "#172c27"),
        "invalid": ("#525863", "#bcc3cf"),
        "invalid-tint": ("#ededee", "#2b3039"),
    }
)


def css_variables() -> str:
    """The palette as CSS custom properties that follow the page's `color-scheme`."""
    lines = [f"  --{name}: light-dark({light}, {dark});" for name, (light, dark) in PALETTE.items()]
    return "\n".join([":root {", *lines, "}"])


def with_light_colours(css: str) -> str:
    """`css` with each `var(--name)` replaced by its light colour, for files that other programs draw."""
    return re.sub(r"var\(--([a-z-]+)\)", lambda match: PALETTE[match[1]][0], css)
