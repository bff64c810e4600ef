"""What Kubernetes' node agent makes of a container's environment and arguments before it starts it."""

import re
from collections.abc import Mapping
from typing import Any


def environment(container: Mapping[str, Any], config_maps: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """A container's environment: whole ConfigMaps, plain values, and its own limits."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", []):
        found |= config_maps[source["configMapRef"]["name"]]
    for each in container.get("env", []):
        limit = each.get("valueFrom", {}).get("resourceFieldRef", {}).get("resource", "").removeprefix("limits.")
        found[each["name"]] = str(container["resources"]["limits"][limit]) if limit else each["value"]
    return found


def expanded(argument: str, given: Mapping[str, str]) -> str:
    """An argument with $(NAME) replaced by what the environment gives; an unknown name stays as it is written."""
    return re.sub(r"\$\((\w+)\)", lambda name: given.get(name[1], name[0]), argument)
