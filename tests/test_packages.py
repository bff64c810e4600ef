import ast
import re
import sys
import tomllib
from importlib.metadata import entry_points, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ["libs/core", "services/trainer", "services/encoder-server", "services/attack-engine", "libs/latentprint"]
APART = ["proto", "conformance", "mlserver", "kserve", "tools"]  # environments of their own
IMAGES = ["server", "trainer", "engine", "mlflow"]  # what an image holds
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


@pytest.mark.parametrize("lock", [f"{name}.txt" for name in ("lock", "dev", *IMAGES, *APART)])
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


def needed(lines):
    """Names of other people's distributions that these requirements lead to, by what is installed."""
    todo, found = [Requirement(line) for line in lines], set()
    while todo:
        requirement = todo.pop()
        key = (canonicalize_name(requirement.name), frozenset(requirement.extras))
        if key in found or key[0].startswith("latentprint"):
            continue
        found.add(key)
        inner = [Requirement(line) for line in requires(key[0]) or []]
        extras = ["", *requirement.extras]
        todo += [one for one in inner if one.marker is None or any(one.marker.evaluate({"extra": e}) for e in extras)]
    return {name for name, _ in found}


def test_the_server_s_lock_holds_what_the_server_needs_and_nothing_else():
    locked = pins("server.txt")
    declared_by = [manifest(package)["project"]["dependencies"] for package in ("libs/core", "services/encoder-server")]
    assert set(locked) == needed(line for lines in declared_by for line in lines) | {"setuptools"}
    assert locked.items() <= pins("lock.txt").items()
    assert not {"ray", "mlflow", "mlflow-skinny", "opacus", "lightly", "pandas"} & set(locked)


@pytest.mark.parametrize(
    ("lock", "packages"),
    [
        ("trainer", ["libs/core", "services/trainer"]),
        ("engine", ["libs/core", "services/trainer", "services/encoder-server", "services/attack-engine"]),
    ],
)
def test_a_ray_node_s_lock_holds_what_its_packages_need_and_what_kuberay_needs(lock, packages):
    locked, common = pins(f"{lock}.txt"), pins("lock.txt")
    wanted = needed(str(requirement) for package in packages for requirement in declared(package))
    assert wanted | {"setuptools", "opencensus", "aiohttp-cors", "virtualenv"} <= set(locked)
    assert {name: version for name, version in locked.items() if common.get(name, version) != version} == {}


def test_the_tracking_server_is_the_client_s_version():
    assert pins("mlflow.txt")["mlflow"] == pins("lock.txt")["mlflow"]
    assert not {"torch", "ray"} & set(pins("mlflow.txt"))


@pytest.mark.parametrize("package", PACKAGES)
def test_ranges_have_both_ends(package):
    for requirement in declared(package):
        operators = {specifier.operator for specifier in requirement.specifier}
        assert requirement.name.startswith("latentprint-") or operators == {">=", "<"}, str(requirement)


@pytest.mark.parametrize("name", ["dev", "mlflow", *APART])
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


def test_all_packages_have_one_version_and_want_it_of_each_other():
    versions = {package: manifest(package)["project"]["version"] for package in PACKAGES}
    assert set(versions.values()) == {versions["libs/core"]}, versions
    siblings = {
        f"{package}: {requirement}": str(requirement.specifier)
        for package in PACKAGES
        for requirement in declared(package)
        if requirement.name.startswith("latentprint")
    }
    assert len(siblings) >= 7
    assert {line: pin for line, pin in siblings.items() if pin != f"=={versions['libs/core']}"} == {}


def test_all_packages_are_described_alike():
    projects = [manifest(package)["project"] for package in PACKAGES]
    for key in ("authors", "license", "license-files", "readme", "requires-python", "urls"):
        assert all(project[key] == projects[0][key] for project in projects), key
    common = [set(project["classifiers"]) - {"Typing :: Typed"} for project in projects]
    assert all(classifiers == common[0] for classifiers in common)


def test_the_makefile_and_the_lock_know_every_package():
    named = re.search(r"^PACKAGES := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert named is not None
    assert set(named[1].split()) == set(PACKAGES)
    found = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("*/*/pyproject.toml")}
    assert found == set(PACKAGES)
    assert all(f'"{package}"' in (ROOT / "requirements" / "make_lock.py").read_text() for package in PACKAGES)


def test_entry_points_of_the_manifests_are_the_installed_ones():
    for group in ("latentprint.commands", "latentprint.registries"):
        stated = {}
        for package in PACKAGES:
            stated |= manifest(package)["project"].get("entry-points", {}).get(group, {})
        assert {point.name: point.value for point in entry_points(group=group)} == stated
