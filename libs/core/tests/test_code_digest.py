import sys
from pathlib import Path

import pytest

from latentprint.core import code_digest as code_digest_module
from latentprint.core import module_trees
from latentprint.core.code_digest import code_digest, followed
from latentprint.core.errors import UsageError

_SHOP = {
    "__init__.py": '"""A shop."""\n',
    "work.py": '''"""Work."""
from typing import TYPE_CHECKING

import shop.whole.tools
import shop.whole.others as renamed
from shop import part
from shop.registry import ENTRIES
from shop.parts import gear
from .near import near
if TYPE_CHECKING:
    from shop.typed import Typed

LIMIT = 3

def compute(typed: "Typed") -> int:
    """Compute."""
    from shop.late import late  # imported here
    ENTRIES.get("one")
    return part.run() + gear() + shop.whole.tools.saw() + renamed.other() + near() + late() + LIMIT + typed.size

def beside() -> int:
    return 1
''',
    "part.py": "def run() -> int:\n    return _helper()\n\ndef _helper() -> int:\n    return 1\n\ndef unused(): ...\n",
    "parts/__init__.py": "from shop.parts.gears import gear\nfrom shop.parts.unused import other\n",
    "parts/gears.py": "def gear() -> int:\n    return 1\n",
    "parts/unused.py": "def other() -> int:\n    return 1\n",
    "whole/__init__.py": "",
    "whole/tools.py": "def saw() -> int:\n    return 1\n\ndef drill() -> int:\n    return 1\n",
    "whole/others.py": "def other() -> int:\n    return 1\n",
    "near.py": "from .nearer import *\n",
    "nearer.py": "def near() -> int:\n    return 1\n",
    "late.py": "STATE = {}\nSTATE.update(a=1)\ndef late() -> int:\n    return len(STATE)\n",
    "typed.py": "class Typed:\n    size = 1\n",
    "registry.py": """from shop.entries import one
ENTRIES = {}
ENTRIES.add("one", one, summary="the first")
""",
    "entries.py": """from shop.registry import ENTRIES
@ENTRIES.register("two", summary="the second")
def one() -> int:
    return 1
""",
}
_CHANGING = [
    ("work.py", "LIMIT = 3", "LIMIT = 4"),
    ("work.py", "+ near()", "- near()"),
    ("part.py", "_helper() -> int:\n    return 1", "_helper() -> int:\n    return 2"),
    ("parts/gears.py", "return 1", "return 2"),
    ("parts/__init__.py", "from shop.parts.gears import gear", "from shop.parts.unused import other as gear"),
    ("whole/tools.py", "saw() -> int:\n    return 1", "saw() -> int:\n    return 2"),
    ("whole/others.py", "return 1", "return 2"),
    ("nearer.py", "return 1", "return 2"),
    ("late.py", "update(a=1)", "update(a=2)"),
    ("typed.py", "size = 1", "size = 2"),
    ("whole/__init__.py", "", "print(1)\n"),
    ("registry.py", "ENTRIES = {}", "ENTRIES = dict()"),
]
_LEAVING = [
    ("work.py", "    from shop.late import late  # imported here", "\n\n    from shop.late import late"),
    ("work.py", '"""Compute."""', '"""Compute, in other words."""'),
    ("work.py", '"""Work."""', "# no docstring"),
    ("work.py", "def beside() -> int:\n    return 1", "def beside() -> int:\n    return 2"),
    ("part.py", "def unused(): ...", "def unused(): return 3"),
    ("parts/unused.py", "return 1", "return 2"),
    ("parts/__init__.py", "from shop.parts.unused import other\n", "from shop.parts.unused import other\nmore = 1\n"),
    ("whole/tools.py", "drill() -> int:\n    return 1", "drill() -> int:\n    return 2"),
    ("registry.py", 'summary="the first"', 'summary="first of all"'),
    ("registry.py", "ENTRIES.add(", 'ENTRIES.add("three", 3, summary="a third")\nENTRIES.add('),
    ("entries.py", "return 1", "return 2"),
]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in _SHOP.items():
        path = tmp_path / "shop" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "shop"


def _edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else new)


def _anew(*entries: object) -> str:
    """The digest as another process would compute it."""
    for kept in (*vars(code_digest_module).values(), *vars(module_trees).values()):
        if hasattr(kept, "cache_clear"):
            kept.cache_clear()
    return code_digest(*entries)


@pytest.mark.parametrize(("file", "old", "new"), _CHANGING)
def test_what_an_entry_computes_with_belongs_to_its_digest(shop: Path, file: str, old: str, new: str) -> None:
    before = _anew("shop.work:compute")
    assert _anew("shop.work:compute") == before
    _edit(shop / file, old, new)
    assert _anew("shop.work:compute") != before


@pytest.mark.parametrize(("file", "old", "new"), _LEAVING)
def test_prose_registrations_and_neighbours_are_no_part_of_it(shop: Path, file: str, old: str, new: str) -> None:
    before = _anew("shop.work:compute")
    _edit(shop / file, old, new)
    assert _anew("shop.work:compute") == before


def test_words_of_a_decorator_that_registers_are_no_part_of_what_it_registers(shop: Path) -> None:
    before = _anew("shop.entries:one")
    _edit(shop / "entries.py", "the second", "another")
    assert _anew("shop.entries:one") == before
    _edit(shop / "entries.py", "return 1", "return 2")
    assert _anew("shop.entries:one") != before


def test_a_whole_module_counts_with_all_that_is_in_it(shop: Path) -> None:
    before = _anew("shop.whole.tools")
    _edit(shop / "whole" / "tools.py", "drill() -> int:\n    return 1", "drill() -> int:\n    return 2")
    assert _anew("shop.whole.tools") != before


def test_nothing_is_imported_to_be_followed(shop: Path) -> None:
    assert any(name.startswith("shop.late:") for name in followed("shop.work:compute"))
    assert not any(name == "shop" or name.startswith("shop.") for name in sys.modules)


def test_entries_are_given_as_objects_or_by_name_in_any_order() -> None:
    name = "latentprint.core.code_digest:code_digest"
    assert code_digest(code_digest, followed) == code_digest(followed, name)
    assert code_digest(code_digest) != code_digest(followed)


def test_what_has_no_source_is_refused() -> None:
    with pytest.raises(UsageError, match="has no source file"):
        code_digest(type("Typed", (), {"__module__": "nowhere"}))
    with pytest.raises(UsageError, match="has no source file"):
        code_digest("nowhere:at_all")
    with pytest.raises(UsageError, match="defines no 'missing'"):
        code_digest("latentprint.core.code_digest:missing")
