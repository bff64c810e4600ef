"""Runs around the work that they tell of: how it ended, what it took of the machine, and sending beside it."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

from latentprint.core.errors import Interrupted, LatentprintError
from latentprint.core.text import say
from latentprint.core.tracking.runs import Run
from latentprint.core.tracking.sender import Sender
from latentprint.core.tracking.system_metrics import system_metrics

_WARNING = "yellow"


@contextmanager
def finishing(run: Run, ended: int | None = None) -> Iterator[Run]:
    """End `run` with the block: FINISHED (at `ended`, see `Run.finish`), KILLED on an interrupt, FAILED on an error."""
    try:
        yield run
    except (KeyboardInterrupt, Interrupted):
        run.finish("KILLED")
        raise
    except BaseException:
        run.finish("FAILED")
        raise
    run.finish(ended=ended)


@contextmanager
def working(run: Run) -> Iterator[Run]:
    """As `finishing`, for a run that works while it lasts: what it takes of the machine is logged too."""
    with finishing(run), system_metrics(run.log_metrics):
        yield run


@contextmanager
def tracked(run: Run, console: Console) -> Iterator[Run]:
    """Open the outermost run and end it with the block, as `working`; what is kept is sent meanwhile.

    Says what the store cannot take now, and sends at the end what it can.

    Raises:
        DataError: the folder of what is kept cannot be written to.
    """
    with Sender(run.unsent, run.address.uri) as sender:
        trouble = sender.trouble
        if trouble:
            _warn(
                console, f"MLflow at {run.address.store} {trouble}: what is logged is kept in {run.unsent} meanwhile."
            )
        run.open()
        try:
            with working(run):
                yield run
        finally:
            sender.stop()
            _send_the_rest(run, console)


def _send_the_rest(run: Run, console: Console) -> None:
    try:
        delivery = run.send_all()
    except LatentprintError as error:
        _warn(console, str(error))
        return
    for note in delivery.notes:
        _warn(console, note)
    if delivery.kept:
        _warn(
            console,
            f"{delivery.kept} runs are not in MLflow: {run.address.store} {delivery.problem}. They are kept in "
            f"{run.unsent}; the next run with this root sends them, and so does latentprint track --root "
            f"{run.unsent.parent.parent}.",
        )


def _warn(console: Console, sentence: str) -> None:
    say(console, f"warning: {sentence}", _WARNING)
