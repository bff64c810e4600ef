import os
import signal
import subprocess
import sys
import time
from importlib.metadata import EntryPoint, entry_points

import pytest

from latentprint.core import cli
from latentprint.core.errors import BudgetError, DataError, EndpointError, Interrupted, LatentprintError, UsageError


def install(monkeypatch, command):
    """Make `command` the only installed subcommand, called `probe`."""
    point = EntryPoint("probe", "nowhere:nothing", cli.COMMANDS)
    monkeypatch.setattr(cli, "entry_points", lambda group: [point])
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda app: app.command("probe")(command))
    monkeypatch.setattr(sys, "argv", ["latentprint", "probe"])


def test_the_script_is_installed_and_names_its_version():
    [script] = [point for point in entry_points(group="console_scripts") if point.name == "latentprint"]
    assert script.load() is cli.main


def test_version_imports_no_subcommand(monkeypatch, capsys):
    install(monkeypatch, lambda: pytest.fail("ran"))
    monkeypatch.setattr(EntryPoint, "load", lambda self: pytest.fail("imported"))
    monkeypatch.setattr(sys, "argv", ["latentprint", "--version"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    assert capsys.readouterr().out == "latentprint 0.1.0\n"


def test_no_arguments_shows_the_subcommands(monkeypatch, capsys):
    install(monkeypatch, lambda: None)
    monkeypatch.setattr(sys, "argv", ["latentprint"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    shown = capsys.readouterr()
    assert stop.value.code != 0
    assert "probe" in shown.out + shown.err
    assert cli.ABOUT in " ".join((shown.out + shown.err).replace("\u2502", " ").split())


def test_an_unknown_subcommand_is_refused(monkeypatch, capsys):
    install(monkeypatch, lambda: None)
    monkeypatch.setattr(sys, "argv", ["latentprint", "prob"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert "No such command 'prob'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (LatentprintError, 1),
        (UsageError, 2),
        (DataError, 3),
        (EndpointError, 4),
        (BudgetError, 5),
        (Interrupted, 130),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_one_sentence_on_stderr(error, code, monkeypatch, capsys):
    def command():
        raise error("The map [N, D] of grpc://host:8500/x is [red]missing[/]: serve one :smile:.")

    install(monkeypatch, command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    shown = capsys.readouterr()
    assert stop.value.code == code
    assert shown.out == ""
    assert shown.err == "error: The map [N, D] of grpc://host:8500/x is [red]missing[/]: serve one :smile:.\n"


def test_ctrl_c_is_one_line_and_exit_130(monkeypatch, capsys):
    def command():
        raise KeyboardInterrupt

    install(monkeypatch, command)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 130
    assert capsys.readouterr().err == "error: Stopped by Ctrl-C.\n"


def test_ctrl_c_while_importing_is_one_line_too(monkeypatch, capsys):
    def load(self):
        raise KeyboardInterrupt

    install(monkeypatch, lambda: None)
    monkeypatch.setattr(EntryPoint, "load", load)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_a_real_sigint_leaves_no_traceback(tmp_path):
    program = (
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background ignores it
        "from latentprint.core import cli\n"
        "from importlib.metadata import EntryPoint\n"
        f"flag = pathlib.Path({str(tmp_path / 'up')!r})\n"
        "def command():\n"
        "    flag.touch()\n"
        "    time.sleep(60)\n"
        "cli.entry_points = lambda group: [EntryPoint('probe', 'a:b', group)]\n"
        "EntryPoint.load = lambda self: lambda app: app.command('probe')(command)\n"
        "sys.argv = ['latentprint', 'probe']\n"
        "cli.main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "up").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "error: Stopped by Ctrl-C.\n"


def test_only_the_named_subcommand_is_imported(monkeypatch):
    loaded = []
    points = [EntryPoint(name, "a:b", cli.COMMANDS) for name in ("audit", "list", "train")]
    monkeypatch.setattr(cli, "entry_points", lambda group: points)

    def load(self):
        loaded.append(self.name)
        return lambda app: app.command(self.name)(lambda: None)

    monkeypatch.setattr(EntryPoint, "load", load)
    cli.build_app(["list", "attacks"])
    assert loaded == ["list"]
    cli.build_app(["--help"])
    assert loaded == ["list", "audit", "list", "train"]


def test_doctor_needs_no_other_package_to_start():
    program = (
        "import sys\n"
        "from latentprint.core import cli\n"
        "cli.build_app(['doctor'])\n"
        "heavy = {'torch', 'ray', 'mlflow', 'timm', 'grpc', 'lightly'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
