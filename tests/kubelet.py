"""What Kubernetes' node agent makes of a container's environment and arguments before it starts it."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORDER = """#!/bin/sh
printf '%s\\0' "$@" > "$RECORDED"
"""

Named = Mapping[str, Mapping[str, str]]


def environment(container: Mapping[str, Any], config_maps: Named, secrets: Named | None = None) -> dict[str, str]:
    """A container's environment: whole ConfigMaps and Secrets, single keys of these, plain values, its own limits."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        (kind, reference), *_ = source.items()
        found |= (config_maps if kind == "configMapRef" else secrets or {})[reference["name"]]
    for each in container.get("env", []):
        source = each.get("valueFrom", {})
        if "resourceFieldRef" in source:
            limit = source["resourceFieldRef"]["resource"].removeprefix("limits.")
            found[each["name"]] = str(container["resources"]["limits"][limit])
        elif "secretKeyRef" in source:
            found[each["name"]] = (secrets or {})[source["secretKeyRef"]["name"]][source["secretKeyRef"]["key"]]
        else:
            found[each["name"]] = each["value"]
    return found


def expanded(argument: str, given: Mapping[str, str]) -> str:
    """An argument with $(NAME) replaced by what the environment gives; an unknown name stays as it is written."""
    return re.sub(r"\$\((\w+)\)", lambda name: given.get(name[1], name[0]), argument)


def command_of(script: str, given: Mapping[str, str], folder: Path) -> list[str]:
    """The arguments with which a job's script calls `latentprint`, as bash makes them of its environment.

    Everything else in the script is run; the command itself is left to who asks, in a process that has loaded torch.
    """
    programs, recorded = folder / "programs", folder / "recorded"
    programs.mkdir(parents=True, exist_ok=True)
    (programs / "latentprint").write_text(RECORDER)
    (programs / "latentprint").chmod(0o755)
    (folder / "entrypoint.sh").write_text(script)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**given, "PATH": path, "RECORDED": str(recorded)}
    subprocess.run(["bash", folder / "entrypoint.sh"], env=environment, cwd=folder, check=True)
    return recorded.read_text().split("\0")[:-1]
