"""Finding official archives, or what was extracted from them, and reading the text in them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from latentprint.core.datasets.members import Members
from latentprint.core.errors import DataError

Split = Literal["train", "val", "all"]
SPLITS: dict[Split, tuple[str, ...]] = {"train": ("train",), "val": ("val",), "all": ("train", "val")}


def find_source(path: Path, names: tuple[str, ...], what: str, *, inside: str | None = None) -> Path:
    """The archive or folder that `path` means.

    Args:
        path: the thing itself, or a folder that holds it.
        names: what it may be called in that folder, the preferred one first.
        what: what it is, for an error message.
        inside: a file by which its extracted folder is known; none: `path` is never the thing itself.

    Raises:
        DataError: no such path, or nothing of these names in it.
    """
    if not path.exists():
        raise DataError(f"No such file or folder: {path}. It should hold {what}: {' or '.join(names)}.")
    if inside is not None and (path.is_file() or (path / inside).is_file()):
        return path
    for name in names:
        if (path / name).exists():
            return path / name
    raise DataError(f"{path} lacks {what}: it should hold {' or '.join(names)}.")


def read_text(members: Members, name: str) -> str:
    """The text of a file. Raises `DataError` where it is missing or no text."""
    try:
        return members.read(name).decode("utf-8-sig")
    except KeyError:
        raise DataError(f"{members.place} lacks {name}: fetch or extract the official archive again.") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{members.where(name)} is not a text file ({error.reason}): fetch it again.") from None


def require(members: Members, names: Iterable[str]) -> None:
    """Raise `DataError` naming the first of `names` that is missing."""
    if missing := sorted(set(names).difference(members.names())):
        raise DataError(f"{members.place} lacks {missing[0]}: fetch or extract the official archive again.")
