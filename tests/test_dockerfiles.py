"""The images' Dockerfiles: linted, and as small and as harmless as docs/deploy.md says."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILES = sorted(ROOT.glob("services/*/*Dockerfile"))
HADOLINT = Path(sys.executable).with_name("hadolint")
LABELS = {"title", "description", "source", "licenses", "version", "revision"}


@pytest.fixture(params=DOCKERFILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def stages(request: pytest.FixtureRequest) -> list[str]:
    """A Dockerfile's stages after what precedes the first, continuation lines joined, comments left out."""
    lines = [line for line in request.param.read_text().splitlines() if not line.startswith("#")]
    return re.split(r"^FROM ", "\n".join(lines).replace("\\\n", " "), flags=re.MULTILINE)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_hadolint_finds_nothing(path: Path) -> None:
    found = subprocess.run([HADOLINT, "--no-color", path], capture_output=True, text=True, timeout=60)
    assert (found.returncode, found.stdout) == (0, "")


def test_there_is_one_of_the_server_and_one_of_a_bundle() -> None:
    assert [path.name for path in DOCKERFILES] == ["Dockerfile", "bundle.Dockerfile"]


def test_an_image_is_no_root_s_and_stands_on_the_base_that_is_asked_for(stages: list[str]) -> None:
    assert re.fullmatch(r"\s*ARG BASE=python:3\.11-slim-bookworm\s*", stages[0])
    stands_on = [stage.split()[0] for stage in stages[1:]]
    named = {stage.split()[2] for stage in stages[1:-1]}
    assert set(stands_on) <= {"${BASE}", *named}
    assert stands_on[-1] == "${BASE}"
    assert re.findall(r"^USER (.*)$", stages[-1], re.MULTILINE) == ["10001:10001"]


def test_nothing_is_installed_or_compiled_in_the_last_stage(stages: list[str]) -> None:
    assert "RUN" not in stages[-1]
    assert not re.search(
        r"apt-get|gcc|g\+\+|build-essential|curl|https?://(?!github\.com/latentprint)", "".join(stages)
    )


def test_the_server_s_image_is_labelled_and_starts_the_command() -> None:
    text = (ROOT / "services/encoder-server/Dockerfile").read_text()
    assert set(re.findall(r"org\.opencontainers\.image\.(\w+)=", text)) == LABELS
    assert json.loads(re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[0]) == ["latentprint", "serve"]
    manifest = tomllib.loads((ROOT / "services/encoder-server/pyproject.toml").read_text())
    assert f"ARG VERSION={manifest['project']['version']}\n" in text


def test_only_what_is_built_from_goes_to_the_builder() -> None:
    first, *rest = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    assert [line[1:] for line in rest if line.startswith("!")] == [
        "LICENSE",
        "libs/core",
        "requirements/server.txt",
        "services/encoder-server",
    ]
