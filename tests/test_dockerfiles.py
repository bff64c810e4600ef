"""The images' Dockerfiles: linted, and as small and as harmless as docs/deploy.md says."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCKERFILES = sorted([*ROOT.glob("services/*/*Dockerfile"), *ROOT.glob("deploy/*/Dockerfile")])
HADOLINT = Path(sys.executable).with_name("hadolint")
IMAGES = {  # where each image's Dockerfile lies: its lock, the packages in it, and what it starts
    "services/encoder-server": ("server", ["libs/core", "services/encoder-server"], ["latentprint", "serve"]),
    "services/trainer": ("trainer", ["libs/core", "services/trainer"], ["latentprint"]),
    "services/attack-engine": (
        "engine",
        ["libs/core", "services/trainer", "services/encoder-server", "services/attack-engine"],
        ["latentprint"],
    ),
    "deploy/mlflow": ("mlflow", [], ["mlflow"]),
}
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


def test_there_is_one_of_each_service_one_of_mlflow_and_one_of_a_bundle() -> None:
    assert {path.parent.name for path in DOCKERFILES} == {Path(folder).name for folder in IMAGES}
    assert [path.name for path in DOCKERFILES if path.name != "Dockerfile"] == ["bundle.Dockerfile"]


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


@pytest.mark.parametrize("folder", IMAGES)
def test_an_image_is_labelled_holds_its_lock_and_packages_and_starts_its_command(folder: str) -> None:
    lock, packages, entry = IMAGES[folder]
    text = (ROOT / folder / "Dockerfile").read_text()
    assert set(re.findall(r"org\.opencontainers\.image\.(\w+)=", text)) == LABELS
    assert json.loads(re.findall(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[0]) == entry
    version = tomllib.loads((ROOT / "libs/core/pyproject.toml").read_text())["project"]["version"]
    assert f"ARG VERSION={version}\n" in text
    assert set(re.findall(r"requirements/([\w-]+)\.txt", text)) == {lock}
    assert re.findall(r"^COPY ((?:libs|services)/\S+) \1$", text, re.MULTILINE) == packages
    assert re.findall(r"(?<= \./)(?:libs|services)/[\w-]+", text) == packages


def test_make_builds_all_of_them() -> None:
    made = subprocess.run(
        ["make", "--dry-run", "images", "ENGINE=podman", "REGISTRY=registry.example.com"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.findall(r"--file (\S+)/Dockerfile", made) == list(IMAGES)
    assert re.findall(r"--tag \S+/latentprint/([\w-]+):", made) == [Path(folder).name for folder in IMAGES]


def test_only_what_is_built_from_goes_to_the_builder() -> None:
    first, *rest = (ROOT / ".dockerignore").read_text().split()
    assert first == "*"
    sent = {line[1:] for line in rest if line.startswith("!")}
    locks = {f"requirements/{lock}.txt" for lock, _, _ in IMAGES.values()}
    packages = {package for _, held, _ in IMAGES.values() for package in held}
    assert sent == {"LICENSE", "experiments", *locks, *packages}  # the engine's experiments lie outside its package


@pytest.mark.parametrize("folder", IMAGES)
def test_what_a_package_links_to_is_copied_with_it(folder: str) -> None:
    """The licence and the experiments stand once in the repository: a build without them leaves them out."""
    copied = re.findall(r"^COPY (\S+) ", (ROOT / folder / "Dockerfile").read_text(), re.MULTILINE)
    links = [path for package in IMAGES[folder][1] for path in (ROOT / package).rglob("*") if path.is_symlink()]
    assert len(links) >= len(IMAGES[folder][1])
    for link in links:
        assert any(link.resolve().is_relative_to(ROOT / source) for source in copied), link
