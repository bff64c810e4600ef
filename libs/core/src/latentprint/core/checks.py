"""Values that a user gave, refused in one sentence before anything is spent."""

from pathlib import Path
from uuid import uuid4

from latentprint.core.errors import DataError, UsageError
from latentprint.core.text import printable

SEEDS = 2**32  # what every generator takes
_LONGEST_NAME = 200  # bytes; a file system takes 255, and files beside the folder add some
_APART = "/\\"


def require(holds: bool, name: str, value: object, wanted: str) -> None:
    """Refuse `value` unless `holds`. Write the condition so that it is false for NaN.

    Raises:
        UsageError: with the value and what was wanted.
    """
    if not holds:
        raise UsageError(f"{name} must be {wanted}, not {printable(value)}.")


def require_seed(name: str, value: int | None) -> None:
    """Refuse a seed that not every random generator takes. Raises `UsageError`."""
    require(value is None or 0 <= value < SEEDS, name, value, f"a whole number from 0 to {SEEDS - 1}")


def require_folder_name(what: str, name: str, taken: tuple[str, ...] = ()) -> None:
    """Refuse a name that cannot be that of a folder below another one. Raises `UsageError`.

    Args:
        what: whose name it is, for the sentence.
        name: the name.
        taken: names that have another meaning there.
    """
    plain = name == name.strip() and not name.startswith(".") and not any(mark in name for mark in _APART)
    fits = printable(name) == name and 0 < len(name.encode(errors="replace")) <= _LONGEST_NAME
    wanted = f"a folder's name of at most {_LONGEST_NAME} bytes, without slashes and with no dot or space in front"
    require(plain and fits, what, repr(name), wanted)
    require(
        name not in taken, what, repr(name), "another name: latentprint keeps its own files in a folder of this one"
    )


def require_folder(path: Path, option: str) -> None:
    """Make the folder `path` where it is missing, and refuse one that cannot be written to. Raises `DataError`."""
    probe = path / f".{uuid4().hex}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        cause = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"Nothing can be written to {printable(path)}: {cause}. Give another folder with {option}."
        ) from None
