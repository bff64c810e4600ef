"""What the readme.README tells a reader to type works as it stands there."""

import csv
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest

readme = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("readme_commands.py"))))
LACKING = ("make ", "pip install", "--scale paper", "timm:", " run ")
JOURNEY = 6  # commands at most, from two folders of images to the files that leak


def written() -> list[str]:
    return readme.commands(readme.README.read_text(encoding="utf-8"))


def test_what_is_not_run_stands_in_the_readme_and_lacks_something() -> None:
    assert set(readme.NOT_RUN) <= set(written())
    assert all(any(word in command for word in LACKING) for command in readme.NOT_RUN)
    rest = [command for command in written() if command not in readme.NOT_RUN]
    assert not any(word in command for command in rest for word in (*LACKING, "HOST", "PORT", "..."))
    assert {command.split()[1] for command in rest} == {"train", "serve", "audit", "bundle"}


def test_commands_are_read_from_blocks_of_shell_alone() -> None:
    text = "`a`\n```sh\none  # why\ntwo \\\n    --x\n\n# three\n```\n```python\nfour\n```\n"
    assert readme.commands(text) == ["one", "two --x"]


@pytest.mark.slow
def test_the_readme_s_commands_run_verbatim_to_named_files(tmp_path: Path) -> None:
    readme.bring(tmp_path)
    ran = list(readme.run_all(tmp_path))
    journey = ran[: next(place for place, command in enumerate(ran) if " audit " in command) + 1]
    assert len(journey) <= JOURNEY
    (table,) = (tmp_path / "runs" / "audit").rglob("samples.csv")
    with table.open(newline="") as stream:
        names = {value for row in csv.DictReader(stream) for value in row.values()}
    assert any("000.png" in name for name in names)
    assert list((tmp_path / "victims").iterdir())
