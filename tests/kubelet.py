"""What Kubernetes' node agent makes of a container's environment and arguments before it starts it."""

import re
from collections.abc import Mapping
from typing import Any

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
