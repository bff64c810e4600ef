from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import pytest

from latentprint.core.config import from_mapping, load_yaml
from latentprint.core.errors import UsageError
from latentprint.core.values import load, parse_value

VALUES: list[tuple[str, Any]] = [
    ("no", "no"),
    ("on", "on"),
    ("1:30", "1:30"),
    ("2024-01-01", "2024-01-01"),
    ("1_000", "1_000"),
    ("=", "="),
    ("true", True),
    ("False", False),
    ("null", None),
    ("~", None),
    ("", None),
    ("0777", 777),
    ("0x10", 16),
    ("0o17", 15),
    ("-3", -3),
    ("1e-6", 1e-6),
    ("1E5", 1e5),
    (".5", 0.5),
    ("1.", 1.0),
    ("-.inf", -inf),
    ("'no'", "no"),
    ('"1"', "1"),
    ("[no, 1:30, 1e-3, true]", ["no", "1:30", 1e-3, True]),
    ("{a: off, c: [1, 2]}", {"a": "off", "c": [1, 2]}),
]
TEXTS = ["@x", "#x", "x #y", "*x", "&x", "!x", "%x", "- x", "a: b", "|", ">", "`x`", "-", "/a/path: of/mine"]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_files_and_options_read_a_value_alike(text: str, value: Any) -> None:
    assert parse_value(text, "--set x") == value
    assert load(f"x: {text}") == {"x": value}
    assert type(parse_value(text, "--set x")) is type(value)


@pytest.mark.parametrize("text", TEXTS)
def test_what_means_something_to_yaml_alone_is_text_in_an_option(text: str) -> None:
    assert parse_value(text, "--set x") == text


@pytest.mark.parametrize(
    "text", ["[1,", "{a", "'x", '"x', "[@x]", "[*x]", "[!!int x]", "{a: 1}}", "[!!python/name:os.x ]"]
)
def test_what_does_not_close_is_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match=r"--set x: .* cannot be read: ") as error:
        parse_value(text, "--set x")
    assert "\n" not in str(error.value)


def test_a_file_takes_no_for_text(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: no\nb: 1:30\nc: 1e-6\nd: 2012-01-01\n")
    assert load_yaml(tmp_path / "x.yaml") == {"a": "no", "b": "1:30", "c": 1e-6, "d": "2012-01-01"}


@dataclass(frozen=True)
class Rate:
    rate: float = 0.0
    rates: tuple[float, ...] = ()


@pytest.mark.parametrize("options", [{"rate": float("nan")}, {"rate": inf}, {"rates": [1.0, -inf]}])
def test_a_number_that_is_none_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="finite"):
        from_mapping(Rate, options, "file")
