import sys

import pytest

from latentprint.core.errors import UsageError
from latentprint.core.registry import Registry


@pytest.fixture
def attacks() -> Registry[int]:
    registry: Registry[int] = Registry("attack")
    registry.add("partcrop", 1, summary="parts", source="CCS 2024", needs={"outputs": "embedding"})
    registry.add("encodermi", 2, summary="views", source="CCS 2021")
    return registry


def test_entries_keep_their_order_and_their_words(attacks: Registry[int]) -> None:
    assert attacks.names() == ["partcrop", "encodermi"]
    assert attacks.get("encodermi") == 2
    assert attacks.entry("partcrop").needs == {"outputs": "embedding"}
    assert [entry.source for entry in attacks] == ["CCS 2024", "CCS 2021"]


def test_a_duplicate_is_refused(attacks: Registry[int]) -> None:
    with pytest.raises(ValueError, match="attack 'partcrop' is registered twice"):
        attacks.add("partcrop", 3, summary="", source="")


def test_an_unknown_name_gets_the_nearest_and_all(attacks: Registry[int]) -> None:
    with pytest.raises(UsageError) as error:
        attacks.get("partcorp")
    expected = "Unknown attack 'partcorp'. Did you mean 'partcrop'? Known: encodermi, partcrop."
    assert str(error.value) == expected


def test_what_is_registered_by_its_place_is_imported_at_its_first_use(tmp_path, monkeypatch) -> None:
    (tmp_path / "slow_to_import.py").write_text("THING = 7\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[int] = Registry("thing")
    registry.add_lazily("slow", "slow_to_import:THING", summary="seven", source="here")
    assert (registry.names(), registry.entry("slow").summary) == (["slow"], "seven")
    assert "slow_to_import" not in sys.modules
    assert registry.get("slow") == 7
    with pytest.raises(ValueError, match="'slow' is registered twice"):
        registry.add_lazily("slow", "slow_to_import:THING", summary="", source="")
