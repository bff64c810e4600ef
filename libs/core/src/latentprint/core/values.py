"""Values as users write them, in YAML files and behind KEY=VALUE options: read alike, as YAML 1.2 does.

PyYAML follows YAML 1.1, where `no` is false, `1:30` is 90 and `2024-01-01` is a date, while `1e-6` is text.
"""

import re
from collections.abc import Sequence
from typing import Any

import yaml

from latentprint.core.errors import UsageError

_STRUCTURED = ("[", "{", '"', "'")
_SCALARS = {
    "null": (re.compile(r"~|null|Null|NULL|"), "~nN\0"),
    "bool": (re.compile(r"true|True|TRUE|false|False|FALSE"), "tTfF"),
    "int": (re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"), "-+0123456789"),
    "float": (
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"),
        "-+.0123456789",
    ),
}
"""Tag to what is written so (YAML 1.2.2, section 10.3.2), and the characters that it starts with."""


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the scalars of YAML 1.2's core schema."""

    def construct_yaml_int(self, node: Any) -> int:
        """Decimal, also with leading zeros, or 0o and 0x."""
        text = str(self.construct_scalar(node))
        return int(text, 0) if text[:2] in {"0o", "0x"} else int(text)


_Loader.yaml_implicit_resolvers = {}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
for _tag, (_pattern, _first) in _SCALARS.items():
    _whole = re.compile(rf"(?:{_pattern.pattern})\Z")
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _whole, ["" if c == "\0" else c for c in _first])


def load(text: str) -> Any:
    """What a YAML document says. Raises `yaml.YAMLError`, or `ValueError` for a tag that does not fit its value."""
    return _Loader(text).get_single_data()


def parse_value(text: str, where: str) -> Any:
    """The value of one KEY=VALUE option: a list, mapping or quoted text in YAML's flow style, a number, true, false or
    null; anything else is text, whatever it means in YAML.

    Raises:
        UsageError: a list, mapping or quotation that does not end, naming `where`.
    """
    if not text.startswith(_STRUCTURED):
        return _scalar(text)
    try:
        return load(text)
    except (yaml.YAMLError, ValueError) as error:
        reason = getattr(error, "problem", None) or "it is no YAML"
        raise UsageError(f"{where}: {text!r} cannot be read: {reason}. Close what it opens, or quote it.") from None


def parse_pairs(pairs: Sequence[str], option: str) -> dict[str, Any]:
    """["key=value", ...] to a mapping, values read by `parse_value`. Raises `UsageError` for one without `=`."""
    parsed = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise UsageError(f"{option} takes KEY=VALUE, not {pair!r}.")
        parsed[key] = parse_value(value, f"{option} {key}")
    return parsed


def _scalar(text: str) -> Any:
    if not any(pattern.fullmatch(text) for pattern, _ in _SCALARS.values()):
        return text
    return load(text)
