"""What a run talks to: Ray, the MLflow store, and the ports that servers listen on."""

import os
import socket
import sqlite3
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from latentprint.core.commands.doctor.check import Check
from latentprint.core.commands.doctor.packages import installed
from latentprint.core.reachable import http_problem, listens, place_of

SERVER_PORT = 8500
MLFLOW_PORT = 5000
_RAY_PORT = 6379
_RAY_CLIENT_PORT = 10001


def checks(runs: Path) -> list[Check]:
    """What is reachable. `runs` is the folder that holds the local MLflow store."""
    return [
        ray(os.environ.get("RAY_ADDRESS", "")),
        mlflow(os.environ.get("MLFLOW_TRACKING_URI", ""), runs),
        port("encoder server's port", SERVER_PORT, "give latentprint serve another with --port"),
        port("MLflow's port", MLFLOW_PORT, "open MLflow on another with make ui PORT=5001"),
    ]


def ray(address: str) -> Check:
    """Ray's version and, where `address` (RAY_ADDRESS) names a cluster, whether its head answers."""
    if find_spec("ray") is None:
        return Check("ray", "warn", "not installed", "pip install latentprint-attack-engine for audits")
    found = f"{installed('ray')}"
    if address in ("", "local"):
        return Check("ray", "ok", f"{found}, started on this machine when needed")
    if address == "auto":
        return Check("ray", "ok", f"{found}, joins the cluster that runs on this machine (RAY_ADDRESS=auto)")
    place = place_of(address if "://" in address else f"gcs://{address}")
    if not listens(place, _RAY_CLIENT_PORT if place.scheme == "ray" else _RAY_PORT):
        advice = "start the cluster, or unset RAY_ADDRESS to run on this machine"
        return Check("ray", "fail", f"{found}, but nothing answers at RAY_ADDRESS={address}", advice)
    return Check("ray", "ok", f"{found}, cluster at {address}")


def mlflow(uri: str, runs: Path) -> Check:
    """MLflow's version and whether the store at `uri` (MLFLOW_TRACKING_URI; empty: below `runs`) can be used."""
    if find_spec("mlflow") is None:
        return Check("mlflow", "warn", "not installed", "pip install latentprint-trainer or latentprint-attack-engine")
    found = f"{installed('mlflow')}"
    place = place_of(uri)
    if place.scheme in ("http", "https"):
        problem = http_problem(place)
    elif uri and place.scheme != "sqlite":
        return Check("mlflow", "ok", f"{found}, store at {place.scheme or uri} (not looked at)")
    else:
        uri = uri or f"sqlite:///{runs / 'mlflow' / 'mlflow.db'}"
        problem = _database_problem(Path(uri.removeprefix("sqlite:///")))
    if problem:
        return Check(
            "mlflow", "fail", f"{found}, but {uri} {problem}", "mend it, or set MLFLOW_TRACKING_URI to another"
        )
    return Check("mlflow", "ok", f"{found}, store at {uri}")


def port(name: str, number: int, advice: str) -> Check:
    """Whether port `number` of this machine is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", number))
        except OSError:
            return Check(name, "warn", f"{number} is in use", advice)
    return Check(name, "ok", f"{number} is free")


def _database_problem(file: Path) -> str:
    if not file.exists():
        return ""  # made with the first run; whether it can be is what the check of the disk says
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as database:
            database.execute("SELECT count(*) FROM experiments")
    except sqlite3.Error as error:
        return f"is no MLflow database ({error})"
    return ""
