import json
import shutil
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from latentprint.core.cli import COMMANDS, build_app
from latentprint.core.commands.doctor.services import SERVER_PORT
from latentprint.encoder_server.settings import Listening

SUBCOMMANDS = [
    "audit",
    "bundle",
    "doctor",
    "fetch",
    "list",
    "probe",
    "report",
    "run",
    "serve",
    "steal",
    "track",
    "train",
]
KINDS = ["attacks", "datasets", "defences", "drivers", "questions", "recipes"]
LATENTPRINT = shutil.which("latentprint", path=Path(sys.executable).parent)


def latentprint(*arguments):
    return subprocess.run([LATENTPRINT, *arguments], capture_output=True, text=True, timeout=300)


def entries(kind):
    result = CliRunner().invoke(build_app(["list"]), ["list", kind, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_entry_point_adds_the_subcommand_it_is_named_after():
    points = entry_points(group=COMMANDS)
    assert sorted(point.name for point in points) == SUBCOMMANDS
    for point in points:
        app = typer.Typer()
        point.load()(app)
        names = list(typer.main.get_group(app).commands)
        assert names == [point.name]


def test_help_shows_every_subcommand():
    result = latentprint("--help")
    assert result.returncode == 0, result.stderr
    for name in SUBCOMMANDS:
        assert f" {name} " in result.stdout


def test_an_unknown_subcommand_is_refused_on_stderr():
    result = latentprint("audi")
    assert (result.returncode, result.stdout) == (2, "")
    assert "'audi'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_registered_is_described(kind):
    listed = entries(kind)
    assert listed
    for entry in listed:
        assert set(entry) == {"name", "summary", "source", "needs"}
        assert entry["summary"]
        assert "\n" not in entry["summary"]
        assert entry["source"]
    assert len({entry["name"] for entry in listed}) == len(listed)


def test_every_attack_states_its_outputs_its_shadows_and_its_price():
    for entry in entries("attacks"):
        assert {"outputs", "shadows", "queries"} <= set(entry["needs"]), entry["name"]


def test_an_unknown_kind_is_one_sentence_and_exit_2():
    result = latentprint("list", "defenses")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: Unknown kind 'defenses'. Did you mean 'defences'")
    assert result.stderr.endswith("Known: attacks, datasets, defences, drivers, questions, recipes.\n")
    assert result.stderr.count("\n") == 1


def test_doctor_finds_this_environment_complete():
    result = latentprint("doctor", "--json")
    report = json.loads(result.stdout)
    assert result.returncode == 0, report
    found = {check["name"]: check for check in report["checks"]}
    for name in ("latentprint-core", "latentprint-trainer", "latentprint-encoder-server", "latentprint-attack-engine"):
        assert found[name]["status"] == "ok"
    assert found["dependencies"]["status"] == "ok"


def test_doctor_looks_at_the_port_that_the_server_takes():
    assert Listening().port == SERVER_PORT
