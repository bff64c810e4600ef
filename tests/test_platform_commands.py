"""The commands of the tracking server, of the jobs and of what fetches their inputs, run as the manifests give them.

Folders and ports are moved to where there is room; everything else is what a pod gets.
"""

import base64
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from moto.server import ThreadedMotoServer
from pyarrow import fs

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
kubelet = SimpleNamespace(**runpy.run_path(str(HERE / "kubelet.py")))
cluster = SimpleNamespace(**runpy.run_path(str(HERE / "cluster_objects.py")))
Object = Mapping[str, Any]
Manifests = Mapping[str, list[Any]]
PASSWORD = "a password of this test"
SECRETS = {
    "mlflow": {"backend-store-uri": "sqlite:////mlflow/mlflow.db", "flask-secret-key": "a key of this test"},
    "mlflow-client": {"username": "admin", "password": PASSWORD},
    "object-storage": {"AWS_ACCESS_KEY_ID": "anybody", "AWS_SECRET_ACCESS_KEY": "anything"},
}
AUTH = f"""[mlflow]
default_permission = READ
database_uri = sqlite:////mlflow/auth.db
admin_username = admin
admin_password = {PASSWORD}
"""
FOLDERS = "data|etc|mlflow|storage|tmp|victims"
TOO_LARGE = {
    "name": "trial",
    "datasets": {"d": {"name": "composites", "options": {"count": 60}}},
    "splits": {"s": {"dataset": "d", "members": 41, "non_members": 20}},
    "victims": [{"name": "victim", "recipe": "mae", "split": "s", "epochs": 1}],
    "attacks": ["supervisedmi"],
}
START_SECONDS = 120.0


@dataclass(frozen=True)
class Node:
    """A machine of the cluster below a folder of this one: its volumes, and ports that are free here."""

    root: Path
    ports: Mapping[int, int] = field(default_factory=dict)

    def moved(self, text: str) -> str:
        """A text of a pod with its absolute folders and its ports moved."""
        text = re.sub(
            rf"(?<![\w./])/(?={FOLDERS})(?=(?:{FOLDERS})\b)", f"{self.root}/", text.replace("sqlite:///", "sqlite:")
        )
        for port, here in self.ports.items():
            text = re.sub(rf"(?<![\d.])(?:mlflow|127\.0\.0\.1):{port}\b", f"127.0.0.1:{here}", text)
            text = text.replace(f"port={port}", f"port={here}")
        return text.replace("sqlite:", "sqlite:///")

    def environment(self, container: Object, objects: list[Any], **more: str) -> dict[str, str]:
        """What a container finds in its environment, and what no image can bring here: where its programs are."""
        maps = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"}
        given = kubelet.environment(container, maps, SECRETS) | more
        here = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "OMP_NUM_THREADS") if name in os.environ}
        return here | {name: self.moved(value) for name, value in given.items()} | {"HOME": str(self.root / "tmp")}

    def command(self, container: Object, environment: Mapping[str, str], entry: list[str]) -> list[str]:
        """A container's command line: the image's entry point, or what the manifest has in its place."""
        words = [*container.get("command", entry), *container.get("args", [])]
        program, *rest = [kubelet.expanded(self.moved(word), environment) for word in words]
        return [str(Path(sys.executable).with_name(program)), *rest]


def container_of(objects: list[Any], owner: str, name: str) -> Object:
    """A container by who owns its pod, as "Deployment/mlflow", and its name."""
    pods = [pod for called, pod in cluster.pods(objects) if called.startswith(owner)]
    return next(each for pod in pods for each in cluster.containers(pod) if each["name"] == name)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory, free_ports: Callable[[int], list[int]]) -> Node:
    root = tmp_path_factory.mktemp("node")
    for folder in ("data", "etc/mlflow", "mlflow", "storage", "tmp", "victims"):
        (root / folder).mkdir(parents=True)
    found = Node(root, dict(zip([5000], free_ports(1), strict=True)))
    (root / "etc/mlflow/basic_auth.ini").write_text(found.moved(AUTH))
    return found


@dataclass(frozen=True)
class Tracking:
    """The tracking server of the local overlay, as its pod starts it."""

    address: str
    container: Object
    log: Path

    def status(self, path: str, host: str = "", password: str = "") -> int:
        """What an HTTP request is answered."""
        headers = {"Host": host} if host else {}
        if password:
            headers["Authorization"] = f"Basic {base64.b64encode(f'admin:{password}'.encode()).decode()}"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(f"{self.address}{path}", headers=headers), timeout=30
            ) as page:
                return int(page.status)
        except urllib.error.HTTPError as error:
            return error.code


@pytest.fixture(scope="module")
def tracking(manifests: Manifests, node: Node) -> Iterator[Tracking]:
    objects = manifests["local"]
    migration = container_of(objects, "Job/mlflow-db-upgrade", "mlflow")
    environment = node.environment(migration, objects)
    for _ in range(2):  # on nothing, and on its own result
        subprocess.run(
            node.command(migration, environment, ["mlflow"]), env=environment, check=True, capture_output=True
        )
    server = container_of(objects, "Deployment/mlflow", "mlflow")
    environment = node.environment(server, objects)
    address, log = f"http://127.0.0.1:{node.ports[5000]}", node.root / "server.log"
    command = node.command(server, environment, ["mlflow"])
    with log.open("w") as lines:
        process = subprocess.Popen(command, env=environment, cwd=node.root / "tmp", stdout=lines, stderr=lines)
    found = Tracking(address, server, log)
    end = time.monotonic() + START_SECONDS
    while not answers(found) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.2)
    yield found
    process.terminate()
    assert process.wait(30) is not None


def answers(tracking: Tracking) -> bool:
    """Whether kubelet's startup probe would be content."""
    try:
        return tracking.status(tracking.container["startupProbe"]["httpGet"]["path"], host="10.0.0.7:5000") == 200
    except urllib.error.URLError:
        return False


def test_the_tracking_server_knows_its_users_and_its_names(tracking: Tracking, node: Node) -> None:
    assert answers(tracking), tracking.log.read_text()[-3000:]
    path = "/api/2.0/mlflow/experiments/search?max_results=1"
    assert tracking.status(path) == 401
    assert tracking.status(path, password="another") == 401
    assert tracking.status(path, password=PASSWORD) == 200
    assert tracking.status(path, password=PASSWORD, host="mlflow.latentprint.svc:5000") == 200
    assert tracking.status(path, password=PASSWORD, host="elsewhere.example:5000") == 403
    assert (node.root / "mlflow/auth.db").exists()


def job_environment(manifests: Manifests, node: Node, name: str, **more: str) -> dict[str, str]:
    head = container_of(manifests["local"], f"RayJob/latentprint-{name} head", "ray-head")
    return node.environment(head, manifests["local"], **more)


def command_of(manifests: Manifests, node: Node, name: str, environment: Mapping[str, str]) -> list[str]:
    """How a job's script calls `latentprint`."""
    objects = manifests["local"]
    (script,) = (each["data"] for each in objects if each["metadata"]["name"] == f"latentprint-entrypoint-{name}")
    (job,) = (each for each in objects if cluster.called(each) == f"RayJob/latentprint-{name}")
    mounts = container_of(objects, f"RayJob/latentprint-{name} head", "ray-head")["volumeMounts"]
    place = next(each["mountPath"] for each in mounts if each["name"] == "entrypoint")
    ((file, text),) = script.items()
    assert job["spec"]["entrypoint"] == f"bash {place}/{file}"
    found: list[str] = kubelet.command_of(node.moved(text), environment, node.root / "tmp" / name)
    return found


def test_a_training_logs_to_the_server_and_leaves_its_bundle_in_the_storage(
    manifests: Manifests,
    node: Node,
    tracking: Tracking,
    image_folders: tuple[Path, Path],
    latentprint: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for source, name in zip(image_folders, ("trained-on", "not-trained-on"), strict=True):
        shutil.copytree(source, node.root / "storage/data" / name)
    fetch = container_of(manifests["local"], "RayJob/latentprint-train head", "data")
    environment = node.environment(fetch, manifests["local"])
    subprocess.run(node.command(fetch, environment, []), env=environment, check=True)
    environment = job_environment(manifests, node, "train", EPOCHS="1", VICTIM="tiny")
    (node.root / "victims/tiny").mkdir()
    (node.root / "victims/tiny/weights").write_text("of a training")
    told = command_of(manifests, node, "train", environment)
    assert (node.root / "storage/victims/tiny/weights").read_text() == "of a training"
    shutil.rmtree(node.root / "victims/tiny")
    for key in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(key, environment[key])
    ended = latentprint(*told)
    assert ended.code == 0, ended.err
    assert json.loads((node.root / "victims/tiny/latentprint.json").read_text())["outputs"]
    assert tracking.status("/api/2.0/mlflow/experiments/get-by-name?experiment_name=train", password=PASSWORD) == 200


def test_a_job_plans_the_experiment_that_it_is_told(
    manifests: Manifests, node: Node, latentprint: Callable[..., Any]
) -> None:
    """Up to the splits, of which one wants more than its data set has: a whole run is what other tests are for."""
    (node.root / "tmp/trial.yaml").write_text(yaml.safe_dump(TOO_LARGE))
    environment = job_environment(manifests, node, "run", EXPERIMENT="/tmp/trial.yaml")
    ended = latentprint(*command_of(manifests, node, "run", environment))
    assert ended.code == 2
    assert "needs 61 samples" in ended.err
    scaled = command_of(manifests, node, "run", environment | {"SCALE": "paper"})
    assert scaled[scaled.index("--scale") + 1] == "paper"


def test_a_server_s_pod_fetches_its_victim_from_object_storage(
    manifests: Manifests, node: Node, bundle: Path, free_ports: Callable[[int], list[int]], tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    storage = ThreadedMotoServer(ip_address="127.0.0.1", port=port)
    storage.start()
    try:
        objects = manifests["gpu"]
        fetch = container_of(objects, "Deployment/encoder-server", "bundle")
        environment = node.environment(fetch, objects, AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}")
        place = environment["VICTIM"].removeprefix("s3://")
        keys = {"access_key": "anybody", "secret_key": "anything"}
        there = fs.S3FileSystem(**keys, endpoint_override=environment["AWS_ENDPOINT_URL"], allow_bucket_creation=True)
        there.create_dir(place.split("/")[0])
        fs.copy_files(str(bundle), place, destination_filesystem=there)
        command = [word.replace("/bundles", str(tmp_path)) for word in node.command(fetch, environment, [])]
        for _ in range(2):
            subprocess.run(command, env=environment, check=True)
        assert {path.name: path.read_bytes() for path in (tmp_path / "victim").iterdir()} == {
            path.name: path.read_bytes() for path in bundle.iterdir()
        }
        missing = [word.replace("victims/mine", "victims/other") for word in command]
        assert subprocess.run(missing, env=environment, capture_output=True).returncode != 0
    finally:
        storage.stop()
