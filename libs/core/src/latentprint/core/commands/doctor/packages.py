"""What is installed: latentprint's own packages, the versions they ask for, and a browser for the report's tests."""

import shutil
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from latentprint.core.commands.doctor.check import Check

OWN = {
    "latentprint-core": "doctor, list, track",
    "latentprint-trainer": "train, bundle",
    "latentprint-encoder-server": "serve",
    "latentprint-attack-engine": "audit, run, report",
}
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SET_UP = "run make setup, or pip install --upgrade what is named"


def checks() -> list[Check]:
    """What of latentprint is here and whether its dependencies fit."""
    return [*map(own_package, OWN), dependencies(), browser()]


def own_package(name: str) -> Check:
    """One of latentprint's packages."""
    if installed(name) is None:
        return Check(name, "warn", "not installed", f"pip install {name} for the commands {OWN[name]}")
    return Check(name, "ok", f"{installed(name)} ({OWN[name]})")


def dependencies() -> Check:
    """Whether every dependency of the installed latentprint packages is there in a version they are made for."""
    asked = sorted({str(requirement): requirement for requirement in _asked()}.items())
    problems = [problem for _, requirement in asked if (problem := mismatch(requirement))]
    if problems:
        return Check("dependencies", "fail", "; ".join(problems), _SET_UP)
    return Check("dependencies", "ok", f"{len(asked)} requirements met")


def mismatch(requirement: Requirement) -> str:
    """What is wrong with the installed version, in words; empty where it fits."""
    found = installed(requirement.name)
    if found is None:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(found, prereleases=True):
        return f"{requirement.name} {found} is outside {requirement.specifier}"
    return ""


def installed(name: str) -> str | None:
    """The installed version of `name`; None where there is none."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _asked() -> Iterator[Requirement]:
    """Requirements of the installed latentprint packages, those of the extras that they ask of each other included."""
    stated = {name: [Requirement(line) for line in requires(name) or []] for name in OWN if installed(name)}
    extras = {name: {""} for name in OWN}
    for requirement in (one for several in stated.values() for one in several):
        extras.get(canonicalize_name(requirement.name), set()).update(requirement.extras)
    for name, requirements in stated.items():
        yield from (one for one in requirements if _applies(one, extras[name]))


def _applies(requirement: Requirement, extras: set[str]) -> bool:
    return requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)


def browser() -> Check:
    """A browser for the report's own tests; nothing else needs it."""
    path = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if path is None:
        return Check("chromium", "warn", "none on PATH (optional)", "make test installs it where apt-get is at hand")
    return Check("chromium", "ok", path)
