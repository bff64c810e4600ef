import json

import pytest
import typer
from typer.testing import CliRunner

from latentprint.core import cli
from latentprint.core.commands import list as list_command
from latentprint.core.errors import UsageError
from latentprint.core.registry import Registry


def run(*arguments):
    return CliRunner().invoke(cli.build_app(["list"]), ["list", *arguments])


def test_json_says_of_each_entry_what_it_is_where_from_and_what_it_needs():
    result = run("datasets", "--json")
    assert result.exit_code == 0
    entries = {entry["name"]: entry for entry in json.loads(result.stdout)}
    assert {"digits", "composites", "cifar10", "cifar100", "folder"} <= set(entries)
    for entry in entries.values():
        assert set(entry) == {"name", "summary", "source", "needs"}


def test_the_table_holds_what_the_json_holds():
    table = run("datasets").stdout
    for entry in json.loads(run("datasets", "--json").stdout):
        assert entry["name"] in table


def test_an_unknown_kind_names_the_known_and_the_nearest():
    with pytest.raises(UsageError, match=r"'dataset'.*Did you mean 'datasets'") as error:
        list_command.open_registry("dataset")
    assert error.value.exit_code == 2


def test_square_brackets_in_an_entry_are_shown_as_they_are(capsys, monkeypatch):
    registry: Registry[int] = Registry("thing")
    registry.add("boxed", 1, summary="an array [D] of :smile:", source="[bold]nowhere[/]", needs={"outputs": "[N, D]"})
    monkeypatch.setattr(list_command, "open_registry", lambda kind: registry)
    list_command.list_registered("things")
    shown = capsys.readouterr().out
    for text in ("an array [D] of", ":smile:", "[bold]nowhere[/]", "[N, D]"):
        assert text in shown


def test_register_adds_one_subcommand():
    app = typer.Typer()
    list_command.register(app)
    assert [command.name for command in app.registered_commands] == ["list"]
