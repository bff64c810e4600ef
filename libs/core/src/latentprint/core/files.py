"""Files written whole or not at all, locks between processes, and write failures in one sentence."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from uuid import uuid4

from safetensors import SafetensorError

from latentprint.core.errors import DataError, UsageError

_POLL_SECONDS = 0.02


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


@contextmanager
def locked(path: Path, seconds: float | None = None) -> Iterator[bool]:
    """Hold the lock file `path`, alone among processes and threads; a holder that is killed lets go of it.

    Args:
        path: the lock file; its folder is made where it is missing.
        seconds: how long to wait for another holder; None for as long as it takes.

    Yields:
        whether it is held.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = None if seconds is None else time.monotonic() + seconds
    with path.open("ab") as stream:
        while not (held := _taken(stream)) and (deadline is None or time.monotonic() < deadline):
            time.sleep(_POLL_SECONDS)
        yield held


def _taken(stream: IO[bytes]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
