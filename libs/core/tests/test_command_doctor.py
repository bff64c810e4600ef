import json
import os
import socket
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

import pytest
import torch
from packaging.requirements import Requirement
from typer.testing import CliRunner

from latentprint.core import cli
from latentprint.core.commands import doctor as command
from latentprint.core.commands.doctor import machine, packages, services, torch_build
from latentprint.core.commands.doctor.check import Check


def run(*arguments):
    return CliRunner().invoke(cli.build_app(["doctor"]), ["doctor", *arguments])


@pytest.fixture
def listener():
    """A port of this machine on which something listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def closed_port():
    """A port of this machine on which nothing listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def http_server():
    """An HTTP server whose health check answers with the status that it holds."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(self.server.status if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.status = 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_this_machine_has_what_is_required(tmp_path, monkeypatch):
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    result = run("--json", "--runs", str(tmp_path))
    report = json.loads(result.stdout)
    assert report["ok"], [check for check in report["checks"] if check["status"] == "fail"]
    assert result.exit_code == 0
    names = [check["name"] for check in report["checks"]]
    assert len(set(names)) == len(names)
    assert {"python", "cores", "memory", "gpu", "disk", "dependencies", "ray", "mlflow", "chromium"} <= set(names)


def test_one_line_a_check_with_its_status_and_what_to_do(monkeypatch):
    found = [Check("a", "ok", "here [1]"), Check("b", "warn", "old"), Check("c", "fail", "gone", "fetch it")]
    monkeypatch.setattr(command, "examine", lambda runs, load: found)
    result = run()
    assert result.exit_code == 1
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == ["ok a here [1]", "warn b old", "fail c gone -> fetch it", "", "1 ok, 1 to look at, 1 missing"]


def test_a_warning_alone_is_no_failure(monkeypatch):
    monkeypatch.setattr(command, "examine", lambda runs, load: [Check("b", "warn", "old", "renew it")])
    assert run().exit_code == 0
    assert json.loads(run("--json").stdout)["ok"] is True


def test_an_old_python_is_a_failure(monkeypatch):
    monkeypatch.setattr(machine.sys, "version_info", (3, 10, 9))
    assert machine.python().status == "fail"


@pytest.mark.parametrize(("text", "cores"), [("max 100000", float("inf")), ("150000 100000", 1.5)])
def test_a_container_s_cpu_quota_counts(text, cores, tmp_path):
    (tmp_path / "cpu.max").write_text(text + "\n")
    assert machine.cpu_quota(tmp_path / "cpu.max") == cores
    assert machine.cpu_quota(tmp_path / "none") == float("inf")


def test_a_container_s_memory_limit_counts(tmp_path, monkeypatch):
    (tmp_path / "memory.max").write_text(f"{2**30}\n")
    monkeypatch.setattr(machine, "_MEMORY_LIMIT", tmp_path / "memory.max")
    check = machine.memory()
    assert check.status == "warn"
    assert "of 1.0 GiB" in check.found


def test_little_disk_is_a_warning_and_none_a_failure(tmp_path, monkeypatch):
    usage = {"free": 0}

    class Usage:
        free = property(lambda self: usage["free"])

    monkeypatch.setattr(machine.shutil, "disk_usage", lambda place: Usage())
    for free, status in ((2**40, "ok"), (2**30, "warn"), (2**20, "fail")):
        usage["free"] = free
        check = machine.disk(tmp_path / "runs" / "not" / "yet")
        assert (check.status, str(tmp_path) in check.found) == (status, True)


def test_a_runs_folder_that_is_a_file_is_a_failure(tmp_path):
    (tmp_path / "runs").write_text("")
    assert machine.disk(tmp_path / "runs").status == "fail"


def test_a_module_that_cannot_be_imported_is_named_with_the_reason(tmp_path, monkeypatch):
    (tmp_path / "made_for_another_torch.py").write_text("raise RuntimeError('operator does not\\n exist')\n")
    monkeypatch.syspath_prepend(tmp_path)
    problem = torch_build.import_problem("made_for_another_torch")
    assert problem == "made_for_another_torch cannot be imported (operator does not exist)"
    assert torch_build.import_problem("json") == ""


def test_a_gpu_that_torch_cannot_use_is_a_warning(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert torch_build.loaded_gpu().status == "warn"
    assert torch_build.listed_gpu().status == "warn"


@pytest.mark.parametrize(("cuda", "status"), [("13.2", "ok"), (None, "warn")])
def test_a_gpu_that_the_driver_lists_counts_where_torch_is_built_for_it(cuda, status, tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 81559 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(torch_build, "_build", lambda: {"__version__": "2.15.0", "cuda": cuda})
    check = torch_build.listed_gpu()
    assert (check.status, "H100" in check.found) == (status, status == "ok")


def test_the_build_that_is_read_is_the_one_that_torch_loads_with():
    build = torch_build._build()
    assert (build["__version__"], build["cuda"]) == (torch.__version__, torch.version.cuda)
    assert torch_build.torch_version().found.startswith(torch.__version__)


def test_a_package_made_for_another_torch_is_named(monkeypatch):
    monkeypatch.setattr(torch_build, "requires", lambda name: ["torch>=99", 'torch<1; extra == "old"'])
    assert "torchvision: torch" in torch_build.installed_problem("torchvision")
    assert torch_build.installed_problem("no-such-package") == "no-such-package is not installed"
    assert torch_build.checks(load=False)[0].status == "fail"


def test_what_is_loaded_is_what_is_installed():
    checks = torch_build.checks(load=True)
    assert [check.name for check in checks] == ["torch", "gpu"]
    assert checks[0].status == "ok"


def test_versions_outside_their_range_and_missing_packages_are_named():
    numpy = version("numpy")
    assert packages.mismatch(Requirement("numpy>=1")) == ""
    assert packages.mismatch(Requirement("numpy<1")) == f"numpy {numpy} is outside <1"
    assert packages.mismatch(Requirement("latentprint-nothing")) == "latentprint-nothing is not installed"


def test_dependencies_of_extras_that_are_asked_for_count(monkeypatch):
    stated = {
        "latentprint-core": ["numpy>=1", 'no-such-package>1; extra == "tracking"', 'nor-this; extra == "other"'],
        "latentprint-trainer": ["latentprint-core[tracking]", 'nor-that; python_version < "3"'],
    }
    monkeypatch.setattr(packages, "requires", stated.get)
    check = packages.dependencies()
    assert (check.status, check.found) == ("fail", "no-such-package is not installed")


def test_a_missing_latentprint_package_is_a_warning_that_names_its_commands(monkeypatch):
    monkeypatch.setattr(packages, "installed", lambda name: None)
    check = packages.own_package("latentprint-encoder-server")
    assert check.status == "warn"
    assert "serve" in check.advice


def test_no_browser_is_only_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert packages.browser().status == "warn"


def test_a_port_in_use_is_a_warning_with_the_way_out(listener, closed_port):
    assert services.port("port", closed_port, "take another").status == "ok"
    assert services.port("port", listener, "take another") == Check(
        "port", "warn", f"{listener} is in use", "take another"
    )


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}"])
def test_ray_s_cluster_is_looked_for_at_its_address(form, listener, closed_port):
    assert services.ray(form.format(listener)).status == "ok"
    check = services.ray(form.format(closed_port))
    assert check.status == "fail"
    assert form.format(closed_port) in check.found


@pytest.mark.parametrize(("address", "status"), [("", "ok"), ("local", "ok"), ("auto", "ok"), ("host:port", "fail")])
def test_ray_s_other_addresses(address, status):
    assert services.ray(address).status == status


def test_an_mlflow_server_is_asked_for_its_health(http_server, closed_port, tmp_path):
    uri = f"http://127.0.0.1:{http_server.server_port}"
    assert services.mlflow(uri, tmp_path).status == "ok"
    http_server.status = 403
    check = services.mlflow(uri + "/", tmp_path)
    assert check.status == "fail"
    assert "status 403" in check.found
    assert services.mlflow(f"http://127.0.0.1:{closed_port}", tmp_path).status == "fail"
    assert services.mlflow("http://host:port", tmp_path).status == "fail"


def test_the_local_mlflow_store_is_opened(tmp_path):
    assert services.mlflow("", tmp_path).status == "ok"
    file = tmp_path / "mlflow" / "mlflow.db"
    file.parent.mkdir()
    file.write_text("not a database, but long enough to be read as one" * 100)
    assert services.mlflow("", tmp_path).status == "fail"
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("CREATE TABLE experiments (id INTEGER)")
    database.close()
    assert services.mlflow("", tmp_path).status == "ok"
    assert services.mlflow(f"sqlite:///{file}", tmp_path).status == "ok"


def test_stores_of_other_kinds_are_named_and_not_looked_at(tmp_path):
    check = services.mlflow("postgresql://user:secret@host/db", tmp_path)
    assert check.status == "ok"
    assert "secret" not in check.found
