"""The `leakscope` command: its subcommands come from the installed packages."""

import sys
from importlib.metadata import entry_points

import typer
from rich.console import Console

from leakscope.core.errors import LeakscopeError

COMMANDS = "leakscope.commands"


def build_app() -> typer.Typer:
    """The command line with every installed package's subcommands, by name."""
    app = typer.Typer(
        name="leakscope",
        help="Measure what a visual encoder behind an API gives away about its training data.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    for point in sorted(entry_points(group=COMMANDS), key=lambda p: p.name):
        point.load()(app)
    return app


def main() -> None:
    """Run the command line; an error a user can mend is one sentence on stderr and a non-zero exit."""
    try:
        build_app()()
    except LeakscopeError as error:
        Console(stderr=True, highlight=False, soft_wrap=True).print(f"[bold red]error:[/] {_escaped(error)}")
        sys.exit(error.exit_code)


def _escaped(error: LeakscopeError) -> str:
    return str(error).replace("[", r"\[")
