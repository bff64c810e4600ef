"""The `latentprint` command: its subcommands come from the installed packages."""

import errno
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text
from typer.core import TyperGroup

from latentprint.core.errors import DataError, Interrupted, LatentprintError, UsageError
from latentprint.core.telemetry.logs import JSON, VARIABLE, as_json
from latentprint.core.text import SENTENCE_LENGTH, printable
from latentprint.core.uncompiled import leave_compiler_out

COMMANDS = "latentprint.commands"
_NO_PLACE = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
}
ABOUT = "Measure what a visual encoder behind an API gives away about its training data."


class _Group(TyperGroup):
    """Turns a Ctrl-C that no command took care of into the one sentence that every other stop gets."""

    def invoke(self, ctx: Any) -> Any:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("Stopped by Ctrl-C.") from None


def build_app(arguments: Sequence[str] = ()) -> typer.Typer:
    """The command line with every installed package's subcommands, by name.

    Where `arguments` starts with a subcommand's name, only that one's package is imported: starting costs
    what the subcommand needs, and one broken package leaves the others usable.
    """
    app = typer.Typer(
        name="latentprint",
        cls=_Group,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback(help=ABOUT)(_options)
    points = {point.name: point for point in entry_points(group=COMMANDS)}
    for name in _wanted(arguments, points):
        points[name].load()(app)
    return app


def main() -> None:
    """Run the command line; an error a user can mend is one sentence on stderr and a non-zero exit."""
    leave_compiler_out()
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # else it writes a line for whoever opens TLS badly
    try:
        build_app(sys.argv[1:])()
    except LatentprintError as error:
        _fail(error)
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        _fail(DataError(f"{error.filename or 'The disk'}: {error.strerror}. Free some space or give another folder."))
    except KeyboardInterrupt:
        _fail(Interrupted("Stopped by Ctrl-C before the command had started."))


def given_options(context: typer.Context) -> Mapping[str, object]:
    """The values of the options that stand on the command line, by flag; an empty text is none."""
    given = {}
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if source is not None and source.name == "COMMANDLINE" and context.params[str(option.name)] != "":
            given[option.opts[0]] = context.params[str(option.name)]
    return given


def refuse_unused(given: Mapping[str, object], flags: Iterable[str], why: str) -> None:
    """Refuse the first of `flags` that is `given` although nothing would use it; `why` ends the sentence.

    Raises:
        UsageError: with the flag and `why`.
    """
    for flag in flags:
        if flag in given:
            raise UsageError(f"{flag} {why}")


def _wanted(arguments: Sequence[str], known: Iterable[str]) -> list[str]:
    first = next(iter(arguments), "")
    if first == "--version":
        return []
    return [first] if first in known else sorted(known)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"latentprint {version('latentprint-core')}")
        raise typer.Exit


def _options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options of the command line itself."""


def _fail(error: LatentprintError) -> None:
    if os.environ.get(VARIABLE) == JSON:
        kind, code = type(error).__name__, error.exit_code
        typer.echo(as_json("error", "latentprint", str(error), error={"kind": kind}, exit_code=code), err=True)
        sys.exit(error.exit_code)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(Text.assemble(("error:", "bold red"), f" {printable(error, SENTENCE_LENGTH)}"))
    sys.exit(error.exit_code)
