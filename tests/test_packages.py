import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import entry_points, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["libs/core", "services/trainer", "services/encoder-server", "services/attack-engine"]
APART = ["proto", "conformance", "mlserver", "kserve", "tools"]  # environments of their own
PIN = re.compile(r"[a-z0-9-]+==[0-9][\w.+!-]*")


def manifest(package):
    return tomllib.loads((ROOT / package / "pyproject.toml").read_text())


def declared(package):
    project = manifest(package)["project"]
    groups = [project["dependencies"], *project.get("optional-dependencies", {}).values()]
    return [Requirement(line) for group in groups for line in group]


def pins(name):
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def imported(file):
    """Top-level names of other people's modules that `file` imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("lock", ["lock.txt", "dev.txt", *(f"{name}.txt" for name in APART)])
def test_a_lock_holds_exact_versions_and_nothing_else(lock):
    lines = (ROOT / "requirements" / lock).read_text().splitlines()
    assert len(lines) > 3
    assert [line for line in lines if not line.startswith("# ") and not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_the_lock_holds_what_a_package_declares(package):
    locked = pins("lock.txt")
    for requirement in declared(package):
        name = canonicalize_name(requirement.name)
        if not name.startswith("latentprint-"):
            assert name in locked, f"{name} is not locked: run make lock"
            assert requirement.specifier.contains(locked[name], prereleases=True), f"{requirement}: {locked[name]}"


@pytest.mark.parametrize("package", PACKAGES)
def test_ranges_have_both_ends(package):
    for requirement in declared(package):
        operators = {specifier.operator for specifier in requirement.specifier}
        assert requirement.name.startswith("latentprint-") or operators == {">=", "<"}, str(requirement)


@pytest.mark.parametrize("name", ["dev", *APART])
def test_a_lock_follows_its_source(name):
    locked = pins(f"{name}.txt")
    lines = (ROOT / "requirements" / f"{name}.in").read_text().splitlines()
    for requirement in (Requirement(line) for line in lines if line and not line.startswith("#")):
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)], prereleases=True)


def test_the_developer_s_tools_change_no_locked_version():
    locked = pins("lock.txt")
    assert {name: version for name, version in pins("dev.txt").items() if locked.get(name, version) != version} == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_declares_what_it_imports(package):
    distributions = packages_distributions()
    allowed = {canonicalize_name(requirement.name) for requirement in declared(package)}
    missing = {
        module: file.relative_to(ROOT).as_posix()
        for file in (ROOT / package / "src").rglob("*.py")
        for module in set(imported(file)) - sys.stdlib_module_names - {"latentprint"}
        if not allowed & {canonicalize_name(name) for name in distributions.get(module, [])}
    }
    assert missing == {}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_licensed_like_the_whole(package):
    assert manifest(package)["project"]["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_carries_every_file_of_its_package(package, tmp_path):
    copy = tmp_path / "package"
    shutil.copytree(ROOT / package, copy, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", "build"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    built = subprocess.run([*command, str(tmp_path), str(copy)], capture_output=True, text=True, env=os.environ)
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    files = {file.relative_to(copy / "src").as_posix() for file in (copy / "src").rglob("*") if file.is_file()}
    files = {name for name in files if ".egg-info/" not in name}
    with zipfile.ZipFile(wheel) as archive:
        assert files - set(archive.namelist()) == set()
        assert "latentprint/__init__.py" not in archive.namelist()


def test_entry_points_of_the_manifests_are_the_installed_ones():
    for group in ("latentprint.commands", "latentprint.registries"):
        stated = {}
        for package in PACKAGES:
            stated |= manifest(package)["project"].get("entry-points", {}).get(group, {})
        assert {point.name: point.value for point in entry_points(group=group)} == stated
