"""Files written whole or not at all, and write failures in one sentence."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from safetensors import SafetensorError

from leakscope.core.errors import DataError, UsageError


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


def named_folder(folder: Path) -> Path:
    """`folder`, or the whole path to it where it is written without a name (".", ".."), to put files beside it.

    Raises:
        UsageError: the root of all folders, beside which there is nothing.
    """
    named = folder if folder.name not in {"", ".."} else folder.resolve()
    if not named.name:
        raise UsageError(f"{folder} cannot be written to: name a folder below it.")
    return named


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
