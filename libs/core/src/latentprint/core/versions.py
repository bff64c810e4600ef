"""What made a result: versions of the libraries, and the git commit where there is one."""

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path


def versions(*distributions: str) -> dict[str, str]:
    """Versions of `distributions` and of Python, and the commit of latentprint's checkout ("" outside one)."""
    found = {name: version(name) for name in distributions}
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
