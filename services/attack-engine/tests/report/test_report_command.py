"""`latentprint report` renders saved findings again, and says in one sentence why it cannot."""

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from latentprint.attack_engine.commands.report import register
from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.findings.serialise import save_findings
from latentprint.attack_engine.report.render import render
from latentprint.core.errors import DataError


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    register(app)
    return app


@pytest.fixture
def saved(findings: Findings, tmp_path: Path) -> Path:
    path = tmp_path / "findings.json"
    save_findings(findings, path)
    return path


def failure(app: typer.Typer, *arguments: object) -> DataError:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, DataError)
    assert "\n" not in str(result.exception)
    return result.exception


def test_the_page_lies_beside_the_findings_and_equals_the_first(
    app: typer.Typer, saved: Path, findings: Findings
) -> None:
    result = CliRunner().invoke(app, [str(saved)], catch_exceptions=False)
    page = saved.with_name("report.html")
    assert result.stdout.strip() == str(page)
    assert page.read_text(encoding="utf-8") == render(findings)


def test_output_names_another_place_and_makes_its_folder(app: typer.Typer, saved: Path, tmp_path: Path) -> None:
    page = tmp_path / "new" / "folder" / "page.html"
    CliRunner().invoke(app, [str(saved), "--output", str(page)], catch_exceptions=False)
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_missing_file_is_named(app: typer.Typer, tmp_path: Path) -> None:
    assert "nowhere.json" in str(failure(app, tmp_path / "nowhere.json"))


@pytest.mark.parametrize("content", [b"", b"not json", b"[1, 2]", b'{"title": "half"}', b"\xff\xfe\x00\x89PNG"])
def test_what_holds_no_findings_is_refused_and_nothing_is_written(
    app: typer.Typer, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(content)
    assert str(path) in str(failure(app, path))
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_refused(app: typer.Typer, tmp_path: Path) -> None:
    assert "is a folder" in str(failure(app, tmp_path))


def test_a_place_that_cannot_be_written_is_named(app: typer.Typer, saved: Path) -> None:
    page = saved / "report.html"
    assert f"Cannot write {page}" in str(failure(app, saved, "--output", page))
