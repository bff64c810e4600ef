"""Files written whole or not at all, and write failures in one sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

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
            f"Cannot write {path}: {cause}. What was written before is kept: free some space or give a writable "
            "folder, and run the same command again to go on."
        ) from None


def write_atomically(path: Path, content: bytes, *, durable: bool = False) -> None:
    """Replace `path` by `content` in one step: a reader, or a crash, meets the old file or the new one.

    Args:
        path: the file; its folder is made where it is missing.
        content: all of it.
        durable: wait until the bytes are on the disk.

    Raises:
        DataError: no space, no permission.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{uuid4().hex[:8]}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("wb") as stream:
                stream.write(content)
                if durable:
                    stream.flush()
                    os.fsync(stream.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
