"""The distributions as a user meets them: wheels built from sources, installed where no checkout is, and run there."""

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import time
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
FOLDERS = {
    "latentprint": "libs/latentprint",
    "latentprint-core": "libs/core",
    "latentprint-trainer": "services/trainer",
    "latentprint-encoder-server": "services/encoder-server",
    "latentprint-attack-engine": "services/attack-engine",
}
HOME = "https://github.com/latentprint/latentprint"
BUILD_SDIST = "import sys, setuptools.build_meta as build; build.build_sdist(sys.argv[1])"
INTERRUPTIBLE = (  # a test run in a shell's background inherits Ctrl-C as ignored
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from latentprint.core.cli import main; main()"
)
START_SECONDS = 600.0  # at most; half a minute on two idle cores


def run(*command: object, cwd: Path | None = None) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def environment() -> dict[str, str]:
    """Ours, without what leads back to the checkout or to a cluster or store of the developer's."""
    dropped = {"PYTHONPATH", "VIRTUAL_ENV", "RAY_ADDRESS", "MLFLOW_TRACKING_URI", "PYTEST_CURRENT_TEST"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    here = str(Path(sys.executable).parent)
    path = os.pathsep.join(folder for folder in kept["PATH"].split(os.pathsep) if folder != here)
    return kept | {"PATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def sdists(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every distribution's sources, packed from copies: a build leaves its own files beside what it builds."""
    root, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("sdists")
    found = {}
    for name, folder in FOLDERS.items():
        left_out = shutil.ignore_patterns("*.egg-info", "__pycache__", "build", "tests")
        copy = shutil.copytree(ROOT / folder, root / folder, ignore=left_out)
        run(sys.executable, "-c", BUILD_SDIST, out, cwd=copy)
        (found[name],) = out.glob(f"{name.replace('-', '_')}-[0-9]*.tar.gz")
    return found


@pytest.fixture(scope="module")
def wheels(sdists: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every distribution's wheel, built from its packed sources alone."""
    out = tmp_path_factory.mktemp("wheels")
    offline = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation"]
    run(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", out, *sdists.values())
    return {name: next(out.glob(f"{name.replace('-', '_')}-[0-9]*.whl")) for name in sdists}


@pytest.fixture(scope="module")
def binaries(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment with every wheel."""
    return install(tmp_path_factory.mktemp("environment"), wheels, "all")


def install(home: Path, wheels: dict[str, Path], extra: str) -> Path:
    """The commands of an environment of its own: latentprint[extra] from `wheels`, other people's packages from here.

    pip fetches nothing and checks all that the wheels ask for, of each other and of the others.
    """
    venv.create(home, symlinks=True)
    theirs = home / "theirs"
    theirs.mkdir()
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if "latentprint" not in entry.name and entry.suffix != ".pth":
            (theirs / entry.name).symlink_to(entry)
    python = home / "bin" / "python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (packages / "theirs.pth").write_text(f"{theirs}\n")
    run(python, "-c", "import importlib.util, numpy; assert importlib.util.find_spec('latentprint') is None")
    umbrella = f"{wheels['latentprint']}[{extra}]"
    siblings = [wheel for name, wheel in wheels.items() if name != "latentprint"]
    run(python, "-m", "pip", "install", "--quiet", "--no-index", umbrella, *siblings)
    return home / "bin"


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def contents(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.mark.parametrize("name", FOLDERS)
def test_a_wheel_says_all_that_an_index_shows(name: str, wheels: dict[str, Path]) -> None:
    found = metadata(wheels[name])
    assert found["Name"] == name
    assert found["Author"] == "The latentprint authors"
    assert found["License-Expression"] == "Apache-2.0"
    assert found["License-File"] == "LICENSE"
    assert found["Requires-Python"] == ">=3.11"
    assert found["Summary"]
    assert "membership inference" in found["Keywords"]
    assert {"Operating System :: POSIX :: Linux", "Topic :: Security"} <= set(found.get_all("Classifier", []))
    urls = dict(line.split(", ") for line in found.get_all("Project-URL", []))
    assert set(urls) == {"Homepage", "Documentation", "Issues"}
    assert urls["Homepage"] == HOME
    assert all(url.startswith(HOME) for url in urls.values())
    assert found["Description-Content-Type"] == "text/markdown"
    assert found.get_payload() == (ROOT / FOLDERS[name] / "README.md").read_text()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_wheel_carries_the_licence(name: str, wheels: dict[str, Path]) -> None:
    (entry,) = (entry for entry in contents(wheels[name]) if entry.endswith(".dist-info/licenses/LICENSE"))
    with zipfile.ZipFile(wheels[name]) as archive:
        assert archive.read(entry) == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("name", FOLDERS)
def test_a_readme_leads_out_of_an_index_s_page(name: str) -> None:
    links = re.findall(r"\]\(([^)]+)\)", (ROOT / FOLDERS[name] / "README.md").read_text())
    assert [link for link in links if not link.startswith(HOME)] == []


@pytest.mark.parametrize("name", FOLDERS)
def test_a_wheel_wants_its_siblings_in_its_own_version(name: str, wheels: dict[str, Path]) -> None:
    found = metadata(wheels[name])
    wanted = [Requirement(line) for line in found.get_all("Requires-Dist", [])]
    siblings = [one for one in wanted if one.name.startswith("latentprint")]
    assert {str(one.specifier) for one in siblings} <= {f"=={found['Version']}"}
    assert bool(siblings) == (name != "latentprint-core")


@pytest.mark.parametrize("name", [name for name in FOLDERS if name != "latentprint"])
def test_a_wheel_and_its_sources_carry_every_file_of_the_package(
    name: str, wheels: dict[str, Path], sdists: dict[str, Path]
) -> None:
    source = ROOT / FOLDERS[name] / "src"
    tracked = run("git", "ls-files", "src", cwd=source.parent).splitlines()
    files = {line.removeprefix("src/") for line in tracked if (source.parent / line).is_file()}
    assert any(file.endswith("py.typed") for file in files)
    assert files - contents(wheels[name]) == set()
    assert "latentprint/__init__.py" not in contents(wheels[name])
    with tarfile.open(sdists[name]) as archive:
        assert [member.name for member in archive if member.issym() or member.islnk()] == []


def test_the_umbrella_holds_no_code(wheels: dict[str, Path]) -> None:
    assert {entry.split("/")[0].split("-")[0] for entry in contents(wheels["latentprint"])} == {"latentprint"}
    assert [entry for entry in contents(wheels["latentprint"]) if ".dist-info/" not in entry] == []
    assert set(metadata(wheels["latentprint"]).get_all("Provides-Extra", [])) == {"server", "trainer", "engine", "all"}


def test_the_attack_engine_carries_every_experiment(wheels: dict[str, Path]) -> None:
    folder = ROOT / "experiments"
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*.yaml")}
    assert "quickstart.yaml" in names
    with zipfile.ZipFile(wheels["latentprint-attack-engine"]) as archive:
        for name in names:
            assert archive.read(f"latentprint/attack_engine/experiments/{name}") == (folder / name).read_bytes()


def test_what_is_imported_comes_from_the_wheels(binaries: Path, tmp_path: Path) -> None:
    modules = [f"latentprint.{name}" for name in ("core", "trainer", "encoder_server", "attack_engine")]
    code = f"import {', '.join(modules)}, sys, torch; print(*(sys.modules[m].__file__ for m in {modules}), sep='\\n')"
    files = run(binaries / "python", "-c", code, cwd=tmp_path).splitlines()
    assert len(files) == 4
    assert all(file.startswith(f"{binaries.parent}/lib") for file in files), files


def test_an_installed_command_line_is_complete(binaries: Path, tmp_path: Path) -> None:
    version = re.search(r'^version = "(.+)"$', (ROOT / "libs/core/pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert run(binaries / "latentprint", "--version", cwd=tmp_path) == f"latentprint {version[1]}\n"
    assert "partcrop" in run(binaries / "latentprint", "list", "attacks", cwd=tmp_path)


def test_a_run_without_the_server_says_so_before_it_trains(wheels: dict[str, Path], tmp_path: Path) -> None:
    chosen = {name: wheel for name, wheel in wheels.items() if name != "latentprint-encoder-server"}
    command = [install(tmp_path / "environment", chosen, "engine") / "latentprint", "run", "quickstart"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 4, done.stderr
    assert done.stderr.endswith("the server is not installed: install latentprint-encoder-server.\n")
    assert not (tmp_path / "runs" / "store").exists()


def test_the_quickstart_trains_from_an_empty_folder_and_stops_with_its_work_kept(
    binaries: Path, tmp_path: Path
) -> None:
    folder, log = tmp_path / "empty", tmp_path / "log"
    folder.mkdir()
    with log.open("w") as stream:
        command = [binaries / "python", "-c", INTERRUPTIBLE, "run", "quickstart"]
        process = subprocess.Popen(command, cwd=folder, env=environment(), stdout=stream, stderr=stream)
    try:
        assert trains(folder, process), log.read_text()
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130, log.read_text()
    finally:
        process.kill()
        process.wait()
    assert "a training up to its checkpoint: run the same command again to go on." in log.read_text()
    assert list(folder.glob("runs/store/**/checkpoint.safetensors"))


def trains(folder: Path, process: subprocess.Popen[bytes]) -> bool:
    """Wait until a training in `folder` says how far it is; False when the process ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if list(folder.glob("runs/store/**/progress.json")):
            return True
        time.sleep(0.1)
    return False
