"""Errors a user can act on: one sentence that names what is wrong and what to do."""

from collections.abc import Iterable
from difflib import get_close_matches


class LatentprintError(Exception):
    """A failure the user can mend; the command line prints its one sentence and exits with `exit_code`."""

    exit_code = 1


class UsageError(LatentprintError):
    """The request itself is wrong: an unknown name, a bad key, a value out of range."""

    exit_code = 2


class DataError(LatentprintError):
    """A file, folder, bundle, split or data set does not hold what it should."""

    exit_code = 3


class EndpointError(LatentprintError):
    """An endpoint is down, unready, speaks another protocol, or refuses what it is asked."""

    exit_code = 4


class BudgetError(LatentprintError):
    """The query budget does not cover what was about to be asked; nothing was sent."""

    exit_code = 5


class Interrupted(LatentprintError):
    """Stopped on request (Ctrl-C, SIGTERM) with everything done so far saved."""

    exit_code = 130


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name nobody registered: says the nearest known names and all of them."""
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f" Did you mean {' or '.join(repr(n) for n in near)}?" if near else ""
    listing = ", ".join(names) if names else "none"
    return UsageError(f"Unknown {kind} {name!r}.{hint} Known: {listing}.")
