"""What a worker reports of a shard: samples done, or the error that a user can mend. Ray would keep only its text."""

from latentprint.core.errors import (
    BudgetError,
    DataError,
    EndpointError,
    Interrupted,
    LatentprintError,
    UsageError,
)

_GENERAL = (LatentprintError, UsageError, DataError, EndpointError, BudgetError, Interrupted)
_KINDS = {kind.__name__: kind for kind in _GENERAL}


def describe(error: LatentprintError) -> tuple[str, str]:
    """Kind and sentence of an error; a kind of its own is reported as the nearest general one."""
    kind = next(kind.__name__ for kind in type(error).__mro__ if kind.__name__ in _KINDS)
    return kind, str(error)


def restore(kind: str, sentence: str) -> LatentprintError:
    """The error that `describe` described."""
    return _KINDS[kind](sentence)
