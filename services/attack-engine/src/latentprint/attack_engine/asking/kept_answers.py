"""Answers kept on disk by content, so that a killed run asks nothing twice."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from latentprint.attack_engine.asking.endpoint import Answers
from latentprint.core.files import write_atomically


@dataclass(frozen=True)
class KeptAnswers:
    """Answers by request id, one safetensors file each, in `folder`; float32 is kept bit for bit."""

    folder: Path

    def read(self, request_id: str) -> Answers | None:
        """The answers kept for a request, or None. A damaged file counts as none and is overwritten later."""
        path = self._path(request_id)
        try:
            return load_file(path)
        except FileNotFoundError:
            return None
        except SafetensorError:
            path.unlink(missing_ok=True)
            return None

    def write(self, request_id: str, answers: Mapping[str, NDArray[np.float32]]) -> None:
        """Keep the answers of a request, atomically. Raises `DataError` without room."""
        content = save({name: np.ascontiguousarray(value) for name, value in answers.items()})
        write_atomically(self._path(request_id), content)

    def images(self) -> int:
        """Images whose answers are kept."""
        return sum(_rows(path) for path in self.folder.glob("*/*.safetensors"))

    def taken(self, request_id: str) -> float | None:
        """When a request's answers were kept, seconds since the epoch; None where they are not."""
        try:
            return self._path(request_id).stat().st_mtime
        except FileNotFoundError:
            return None

    def remove_since(self, seconds: float) -> None:
        """Forget what was kept later than `seconds` since the epoch."""
        for path in self.folder.glob("*/*.safetensors"):
            if path.stat().st_mtime > seconds:
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Forget everything."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, request_id: str) -> Path:
        return self.folder / request_id[:2] / f"{request_id[2:]}.safetensors"


def _rows(path: Path) -> int:
    try:
        with safe_open(path, framework="numpy") as content:
            names: list[str] = list(content.keys())
            return max((content.get_slice(name).get_shape()[0] for name in names), default=0)
    except (SafetensorError, FileNotFoundError):
        return 0
