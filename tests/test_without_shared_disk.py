"""`latentprint audit --storage` on a Ray cluster whose nodes share no disk with the driver, and that loses a node."""

import os
import re
import signal
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import pandas as pd
import psutil
import pytest
import ray
from moto.server import ThreadedMotoServer
from ray.cluster_utils import Cluster

from latentprint.attack_engine import audit
from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.server_process import starting_server
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.core.cli import main
from latentprint.core.errors import EndpointError

pytestmark = pytest.mark.slow
FOLDERS = tuple[Path, Path]
CROPS = 6
IMAGES = 90 * (1 + CROPS)  # of 90 samples

# What a worker may not touch, whatever it is told: the driver's folder. Every other access is let through.
GUARD = """
import os, sys
def guard(event, arguments, place=os.environ.get("GUARDED")):
    if place and event.partition(".")[0] in ("open", "os", "shutil", "glob", "pathlib"):
        for one in arguments:
            if isinstance(one, (str, bytes, os.PathLike)) and os.fsdecode(one).startswith(place):
                raise PermissionError(13, "this is another machine's", os.fsdecode(one))
sys.addaudithook(guard)
"""


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket of a real S3 server."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    settings = {
        "AWS_ACCESS_KEY_ID": "somebody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patched:
        for name, value in settings.items():
            patched.setenv(name, value)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(urllib.request.Request(f"{address}/bucket", method="PUT"))
        yield "s3://bucket"
    server.stop()


@dataclass
class Nodes:
    """Two nodes by their disks, and the driver's folder."""

    cluster: Cluster
    disks: Mapping[Any, Path]
    driver: Path

    def lose(self, node: Any) -> None:
        """Kill a node with all that runs on it, as a power cut does."""
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        processes = [*raylet.children(recursive=True), raylet]
        for process in processes:
            process.send_signal(signal.SIGKILL)
        self.cluster.remove_node(node, allow_graceful=False)


@pytest.fixture(scope="module")
def nodes(
    no_cluster: None, bucket: str, image_folders: FOLDERS, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nodes]:
    """A head that computes nothing and two nodes, each with a disk of its own; this process, the driver, moves away."""
    driver, guard = image_folders[0].parent, tmp_path_factory.mktemp("guard")
    (guard / "sitecustomize.py").write_text(GUARD)
    quick = {
        "health_check_initial_delay_ms": 500,
        "health_check_period_ms": 500,
        "health_check_timeout_ms": 1000,
        "health_check_failure_threshold": 3,
    }
    small: dict[str, Any] = {"include_dashboard": False, "object_store_memory": 150 * 2**20}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_AUTH_MODE", "disabled")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": quick, **small})
        disks = {}
        for number in range(2):
            disk = tmp_path_factory.mktemp(f"node-{number}")
            of_node = {
                "LATENTPRINT_SCRATCH": str(disk),
                "PYTHONPATH": os.pathsep.join([str(guard), os.environ.get("PYTHONPATH", "")]),
                "GUARDED": str(driver),
            }
            disks[cluster.add_node(num_cpus=1, env_vars=of_node, **small)] = disk
        cluster.wait_for_nodes()
        patched.setenv("RAY_ADDRESS", cluster.address)
        patched.chdir(driver)
        yield Nodes(cluster, disks, driver)
        ray.shutdown()
        cluster.shutdown()


@dataclass(frozen=True)
class Endpoint:
    """A served victim that wants a key and counts what it answers."""

    spec: EndpointSpec
    metrics: str

    @property
    def answered(self) -> int:
        """Images that the model was asked about, answers given a second time left out."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        lines = opener.open(self.metrics).read().decode().splitlines()
        counted = [line for line in lines if line.startswith("latentprint_answered_images_total")]
        return int(sum(float(line.split()[-1]) for line in counted))


@pytest.fixture(scope="module")
def counting(bundle: Path) -> Iterator[Endpoint]:
    options = ["--metrics-port", "0"]
    with starting_server({"victim": str(bundle)}, options=options, host="127.0.0.2") as server:
        server.wait()
        deadline = time.monotonic() + 60
        while not (metrics := re.findall(r"metrics on (\S+)\s", server.log.read_text())):
            assert time.monotonic() < deadline, server.log.read_text()
            time.sleep(0.05)
        yield Endpoint(server.endpoints[0], metrics[0])


def audit_on(storage: str, endpoint: Endpoint, root: str, *further: str) -> None:
    """`latentprint audit`, with this process as the driver."""
    Path("key").write_text(Path(str(endpoint.spec.api_key_file)).read_text())
    command = [
        "audit",
        endpoint.spec.url,
        "--api-key-file",
        "key",
        "--members",
        "members",
        "--non-members",
        "others",
        "--workers",
        "2",
    ]
    command += ["--attack", "partcrop", "--attack-option", f"partcrop.crops={CROPS}", *further]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sys, "argv", ["latentprint", *command, "--storage", storage, "--root", root])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code


def scores(root: str) -> pd.DataFrame:
    """Every sample with its scores."""
    (table,) = Path(root).rglob("samples.parquet")
    return pd.read_parquet(table)


def test_workers_cannot_touch_the_driver_s_disk(nodes: Nodes) -> None:
    @ray.remote(num_cpus=0.1)
    def touch(place: str) -> str:
        return str(os.listdir(place))

    ray.init(log_to_driver=False)
    try:
        assert "node" in ray.get(touch.remote(str(next(iter(nodes.disks.values())).parent)))
        with pytest.raises(PermissionError, match="another machine's"):
            ray.get(touch.remote(str(nodes.driver)))
    finally:
        ray.shutdown()


def test_what_others_reach_answers_nobody_without_its_key(counting: Endpoint) -> None:
    with pytest.raises(EndpointError, match="key"):
        EndpointSpec(counting.spec.url).open()


def test_a_node_that_is_lost_changes_no_score_and_has_nothing_asked_again(
    bucket: str, nodes: Nodes, counting: Endpoint
) -> None:
    attacks = [AttackChoice("partcrop", {"crops": CROPS})]
    audit(counting.spec, members=Path("members"), non_members=Path("others"), attacks=attacks, root="undisturbed")
    assert counting.answered == IMAGES

    lost: list[int] = []

    def lose_one() -> None:
        while counting.answered < 1.4 * IMAGES:
            time.sleep(0.02)
        nodes.lose(next(node for node, disk in nodes.disks.items() if list(disk.rglob("*.answers"))))
        lost.append(counting.answered)

    thread = Thread(target=lose_one, daemon=True)
    thread.start()
    audit_on(f"{bucket}/disturbed", counting, "disturbed", "--images-per-second", "120")
    thread.join(60)
    assert 1.4 * IMAGES <= lost[0] < 1.9 * IMAGES
    assert counting.answered == 2 * IMAGES
    pd.testing.assert_frame_equal(scores("disturbed"), scores("undisturbed"), atol=1e-5, rtol=0)
