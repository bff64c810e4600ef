from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from latentprint.core.config import from_mapping, load_yaml
from latentprint.core.errors import DataError, UsageError


@dataclass(frozen=True)
class Part:
    name: str
    size: int = 3


@dataclass(frozen=True)
class Whole:
    scale: tuple[float, float] = (0.0, 1.0)
    parts: tuple[Part, ...] = ()
    named: Mapping[str, Part] = field(default_factory=dict)
    extra: Part | None = None


def test_nested_dataclasses_and_names_in_short() -> None:
    whole = from_mapping(
        Whole,
        {"scale": [0.1, 0.2], "parts": ["a", {"name": "b", "size": 4}], "named": {"x": "c"}, "extra": {"name": "d"}},
        "file",
    )
    assert whole == Whole((0.1, 0.2), (Part("a"), Part("b", 4)), {"x": Part("c")}, Part("d"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sclae": (0, 1)}, "file: unknown key 'sclae'. Did you mean 'scale'?"),
        ({"parts": [{"name": "a", "sise": 4}]}, "file.parts[0]: unknown key 'sise'. Did you mean 'size'?"),
        ({"named": {"x": {"name": "a", "zzz": 1}}}, "file.named.x: unknown key 'zzz'. Known: name, size"),
        ({"extra": {"nam": "a"}}, "file.extra: unknown key 'nam'"),
        ({"extra": {"size": 1}}, "file: extra.name: Field required"),
        ({"scale": "wide"}, "file: scale: "),
        ({"parts": [{"name": "a", "size": "many"}]}, "file: parts.0.size: "),
    ],
)
def test_a_bad_key_or_value_is_named_with_its_place(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as error:
        from_mapping(Whole, options, "file")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"), [("a: [1", "is not valid YAML"), ("- 1", "must hold a mapping"), (None, "No such file")]
)
def test_a_bad_file_is_named(tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "x.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=message) as error:
        load_yaml(path)
    assert str(path) in str(error.value)
