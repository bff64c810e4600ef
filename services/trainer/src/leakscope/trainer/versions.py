"""What trained a bundle: versions of the libraries, and the git commit where there is one."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("torch", "timm", "lightly", "numpy", "leakscope-core", "leakscope-trainer")


def versions() -> dict[str, str]:
    """Library versions, Python's, and the commit of the checkout this package lies in ("" outside one)."""
    found = {name: version(name) for name in _LIBRARIES}
    return {**found, "python": platform.python_version(), "commit": _commit()}


def _commit() -> str:
    try:
        answer = subprocess.run(
            ["git", "rev-parse", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip()
