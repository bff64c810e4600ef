"""The containers' own command lines and environments, run as the manifests give them and asked as a cluster asks."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from latentprint.core.oip import METHODS, from_response, to_request

DOCKERFILE = Path(__file__).resolve().parent.parent / "services" / "encoder-server" / "Dockerfile"
kubelet = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("kubelet.py"))))
KEY = "a-key-of-this-test"
START_SECONDS = 120.0


@dataclass(frozen=True)
class Deployed:
    """The server as the local overlay starts it, its folders and ports moved to where there is room."""

    container: Mapping[str, Any]
    process: subprocess.Popen[str]
    ports: Mapping[int, int]
    channel: grpc.Channel


@pytest.fixture(scope="module")
def deployed(
    manifests: Mapping[str, list[dict[str, Any]]],
    bundle: Path,
    free_ports: Callable[[int], list[int]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Deployed]:
    objects = manifests["local"]
    config_maps = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"}
    deployments = {each["metadata"]["name"]: each for each in objects if each["kind"] == "Deployment"}
    pod = deployments["encoder-server"]["spec"]["template"]["spec"]
    (container,), (init,) = pod["containers"], pod["initContainers"]
    root = tmp_path_factory.mktemp("root")
    mounts = sorted({mount["mountPath"] for each in (container, init) for mount in each["volumeMounts"]}, key=len)
    for path in mounts:
        (root / path.lstrip("/")).mkdir(parents=True)
    shutil.copytree(bundle, root / "bundle")
    keys = root / mounts[-1].lstrip("/") / "keys"
    keys.write_text(f"{KEY}\n")
    named = [port["containerPort"] for port in container["ports"]]
    ports = dict(zip(named, free_ports(len(named)), strict=True))

    def here(argument: str) -> str:
        moved = re.sub(r"(^|=)(/(?:bundles?|etc)\b)", lambda found: f"{found[1]}{root}{found[2]}", argument)
        return re.sub(r"port=(\d+)$", lambda found: f"port={ports[int(found[1])]}", moved)

    for _ in range(2):  # a pod's second start finds what the first one left
        subprocess.run([here(part) for part in init["command"]], check=True)
    environment = kubelet.environment(container, config_maps)
    entry = json.loads(re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE.read_text(), re.MULTILINE)[0])
    command = [*entry, *(here(kubelet.expanded(argument, environment)) for argument in container["args"])]
    command[0] = str(Path(sys.executable).with_name(command[0]))
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    process = subprocess.Popen(
        command, env={**kept, **environment, "HOME": str(root / "tmp")}, stdout=subprocess.PIPE, text=True
    )
    with process, grpc.insecure_channel(f"127.0.0.1:{ports[8500]}") as channel:
        yield Deployed(container, process, ports, channel)
        process.kill()


def probe(deployed: Deployed, name: str) -> str:
    """What kubelet's probe of this name is answered."""
    asked = deployed.container[name]["grpc"]
    with grpc.insecure_channel(f"127.0.0.1:{deployed.ports[asked['port']]}") as channel:
        request = health_pb2.HealthCheckRequest(service=asked.get("service", ""))
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                request, timeout=deployed.container[name]["timeoutSeconds"]
            )
        except grpc.RpcError as error:
            return str(error.code().name)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def test_the_probes_find_the_server_serving(deployed: Deployed) -> None:
    end = time.monotonic() + START_SECONDS
    while probe(deployed, "startupProbe") != "SERVING" and deployed.process.poll() is None and time.monotonic() < end:
        time.sleep(0.1)
    assert [probe(deployed, f"{name}Probe") for name in ("startup", "liveness", "readiness")] == ["SERVING"] * 3


def test_it_answers_who_has_the_key_under_the_configured_name(deployed: Deployed) -> None:
    images = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    infer = METHODS["ModelInfer"].call(deployed.channel)
    request = to_request("victim", {"images": images}, ["embedding"])
    answer = infer(request, timeout=20, metadata=[("authorization", f"Bearer {KEY}")])
    assert len(from_response(answer)["embedding"]) == 2
    with pytest.raises(grpc.RpcError) as refused:
        infer(request, timeout=20)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_what_the_autoscaler_asks_for_is_among_the_metrics(
    deployed: Deployed, manifests: Mapping[str, list[dict[str, Any]]]
) -> None:
    monitors = [each for each in manifests["gpu"] if each["kind"] == "PodMonitor"]
    (monitor,) = (each for each in monitors if each["metadata"]["name"] == "encoder-server")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    ports = {port["name"]: port["containerPort"] for port in deployed.container["ports"]}
    address = f"http://127.0.0.1:{deployed.ports[ports[endpoint['port']]]}{endpoint['path']}"
    with urllib.request.urlopen(address, timeout=10) as page:
        exported = {re.split(r"[{ ]", line)[0] for line in page.read().decode().splitlines()}
    (scaled,) = (each for each in manifests["gpu"] if each["kind"] == "ScaledObject")
    asked = set(re.findall(r"latentprint_\w+", scaled["spec"]["triggers"][0]["metadata"]["query"]))
    assert asked
    assert asked <= exported


def test_an_audit_by_its_job_reads_the_images_and_asks_with_its_key(
    deployed: Deployed,
    manifests: Mapping[str, list[dict[str, Any]]],
    image_folders: tuple[Path, Path],
    tmp_path: Path,
    latentprint: Callable[..., Any],
) -> None:
    """Up to the server's word that it has no such model, which it says to nobody without a key."""
    objects = {(each["kind"], each["metadata"]["name"]): each for each in manifests["local"]}
    script = objects["ConfigMap", "latentprint-entrypoint-audit"]["data"]["entrypoint.sh"]
    settings = objects["ConfigMap", "latentprint-audit"]["data"]
    for source, name in zip(image_folders, ("members", "non-members"), strict=True):
        shutil.copytree(source, tmp_path / "data" / name)
    (tmp_path / "key").write_text(KEY)
    script = script.replace("/etc/latentprint/client-key/", f"{tmp_path}/").replace("/data/", f"{tmp_path}/data/")
    here = settings["ENDPOINT"].replace("encoder-server:8500/victim", f"127.0.0.1:{deployed.ports[8500]}/another")
    assert here != settings["ENDPOINT"]
    told = settings | {"ENDPOINT": here}
    asked = kubelet.command_of(script.replace("/tmp/runs", f"{tmp_path}/runs"), told, tmp_path)
    ended = latentprint(*asked)
    assert ended.code == 4
    assert "'another'" in ended.err
    (tmp_path / "key").write_text("not-the-key")
    assert "'another'" not in latentprint(*asked).err


def test_told_to_stop_it_is_out_of_service_at_once_and_ends(deployed: Deployed) -> None:
    deployed.process.send_signal(signal.SIGTERM)
    end = time.monotonic() + 20
    while probe(deployed, "readinessProbe") == "SERVING" and time.monotonic() < end:
        time.sleep(0.05)
    assert probe(deployed, "readinessProbe") == "NOT_SERVING"
    deployed.process.send_signal(signal.SIGTERM)  # rather than wait for --settle-seconds
    assert deployed.process.wait(30) == 0
