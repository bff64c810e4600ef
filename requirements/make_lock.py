"""Re-make the lock files: exact versions of all that the packages and the developer's tools need.

Reads the ranges from each package's pyproject.toml, resolves them with pip-compile (whatever index pip is set up
with here; no address is written down) and keeps a version that is already locked for as long as it fits its range.
`--upgrade` takes the newest that fit instead. Run it as `make lock`.
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "requirements"
PROJECTS = ["libs/core", "services/trainer", "services/encoder-server", "services/attack-engine", "libs/latentprint"]
IMAGES = {  # what each service's image holds: packages, and further sources beside them
    "server": (["libs/core", "services/encoder-server"], False, []),
    "trainer": (["libs/core", "services/trainer"], True, ["ray-node"]),
    "engine": (
        ["libs/core", "services/trainer", "services/encoder-server", "services/attack-engine"],
        True,
        ["ray-node"],
    ),
}
APART = ["proto", "conformance", "mlserver", "kserve", "tools"]
WITHIN = ["mlflow", "dev"]  # nothing in them may differ from lock.txt
OWN = "latentprint"
BUILD = "setuptools"  # installed, not fetched, when the packages themselves are built without isolation
FLAGS = ["--quiet", "--allow-unsafe", "--strip-extras", "--no-header", "--no-emit-index-url", "--no-emit-find-links"]
TITLE = "# Exact versions for Python 3.11 or later on Linux x86-64, made by `make lock` from {sources}.\n"


def declared(projects: list[str], extras: bool) -> str:
    """Third-party requirements of packages, their build included, and on demand their extras: one a line, sorted."""
    found: set[str] = set()
    for project in projects:
        content = tomllib.loads((ROOT / project / "pyproject.toml").read_text(encoding="utf-8"))
        table = content["project"]
        found.update(table["dependencies"], *(table.get("optional-dependencies", {}).values() if extras else []))
        found.update(line for line in content["build-system"]["requires"] if line.startswith(BUILD))
    return "\n".join(sorted(line for line in found if not line.startswith(OWN))) + "\n"


def compile_lock(source: Path, output: Path, sources: str, extra: list[str]) -> None:
    """Resolve `source` into `output`, its origin named in the first line."""
    command = [sys.executable, "-m", "piptools", "compile", *FLAGS, *extra, "--output-file", str(output), str(source)]
    subprocess.run(command, check=True, cwd=FOLDER)
    lines = output.read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.lstrip().startswith(("#", "-"))]
    output.write_text(TITLE.format(sources=sources) + "\n".join(pins) + "\n", encoding="utf-8")


def main() -> None:
    """Write lock.txt, the images' and dev.txt (constrained by it), and the locks of environments that stand apart."""
    extra = ["--upgrade"] if "--upgrade" in sys.argv[1:] else []
    within = [*extra, "--constraint", "lock.txt"]
    with tempfile.TemporaryDirectory() as folder:
        runtime = Path(folder) / "runtime.in"
        runtime.write_text(declared(PROJECTS, extras=True), encoding="utf-8")
        compile_lock(runtime, FOLDER / "lock.txt", "the packages' pyproject.toml files", extra)
        for name, (projects, extras, beside) in IMAGES.items():
            source = Path(folder) / f"{name}.in"
            lines = [declared(projects, extras), *((FOLDER / f"{each}.in").read_text("utf-8") for each in beside)]
            source.write_text("".join(lines), encoding="utf-8")
            compile_lock(source, FOLDER / f"{name}.txt", f"lock.txt, for the {name}'s image alone", within)
    for name in WITHIN:
        compile_lock(FOLDER / f"{name}.in", FOLDER / f"{name}.txt", f"{name}.in", within)
    for name in APART:
        compile_lock(FOLDER / f"{name}.in", FOLDER / f"{name}.txt", f"{name}.in", extra)


if __name__ == "__main__":
    main()
