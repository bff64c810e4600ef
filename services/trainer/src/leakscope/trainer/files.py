"""Files written whole or not at all, and write failures in one sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from leakscope.core.errors import DataError


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failed write below `path` into a `DataError` that names the path and the cause."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        cause = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"Cannot write {path}: {cause}. Free some space or choose a writable folder; "
            "a checkpoint that was saved before still stands."
        ) from None


def write_atomic(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Replace `path` by `content` in one step: a reader, or a crash, meets the old file or the new one.

    Raises:
        DataError: no space, no permission.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            with draft.open("wb") as stream:
                stream.write(content)
                if durable:
                    stream.flush()
                    os.fsync(stream.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
