"""Content digests: what makes a cached thing the same thing."""

import ast
import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def digest_json(value: Any) -> str:
    """SHA-256 (hex) of `value` as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_arrays(**arrays: NDArray[Any]) -> str:
    """SHA-256 (hex) over names, dtypes, shapes and bytes of `arrays`, in order of name."""
    state = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        state.update(f"{name}:{array.dtype.str}:{array.shape};".encode())
        state.update(array.tobytes())
    return state.hexdigest()


def digest_file(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_code(*packages: str) -> str:
    """SHA-256 (hex) of the Python sources of `packages` (dotted names), each with all below it.

    What was computed by other code is not what this code computes: it belongs in the key of whatever is kept.
    """
    files: dict[str, str] = {}
    for package in packages:
        spec = find_spec(package)
        for location in (spec and spec.submodule_search_locations) or ():
            for path in Path(location).rglob("*.py"):
                files[f"{package}/{path.relative_to(location)}"] = digest_file(path)
    return digest_json(files)


def digest_imports(module: str, package: str) -> str:
    """SHA-256 (hex) of the source of `module` and of every module below `package` that it imports, however far."""
    files: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        spec = find_spec(name)
        if name in files or spec is None or spec.origin is None:
            continue
        source = Path(spec.origin).read_bytes()
        files[name] = hashlib.sha256(source).hexdigest()
        nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom)]
        waiting += [node.module for node in nodes if node.module and node.module.startswith(f"{package}.")]
    return digest_json(files)
