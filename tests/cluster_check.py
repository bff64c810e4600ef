"""The images as containers: `make cluster-check`, which needs podman, root, and the image that `make images` has built.

No part of `make test`. Containers run as restricted as the manifests say; times and sizes are printed.
"""

import base64
import json
import os
import runpy
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
import yaml

from latentprint.core.oip import METHODS, from_response, to_request

kubelet = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("kubelet.py"))))
ENGINE = os.environ["ENGINE"]
IMAGE = os.environ["SERVER_IMAGE"]
BUNDLE_IMAGE = "localhost/latentprint/victim-bundle:cluster-check"
RESTRICTED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--user=10001:10001", "--tmpfs=/tmp"]
POD = "latentprint-cluster-check"
KEY = "a-key-of-this-check"
KEY_FILE = "/etc/latentprint/api-keys/keys"
ATTACKS = ("--attack", "supervisedmi,partcrop", "--attack-option", "partcrop.crops=6")
START_SECONDS = 180.0
ABSENT = ("ray", "mlflow", "opacus", "pandas")
LOOK_INSIDE = f"""
import importlib.util, json, os, shutil
from pathlib import Path
print(json.dumps(dict(
    user=os.getuid(), found=[name for name in {ABSENT} if importlib.util.find_spec(name)],
    compilers=[name for name in ("gcc", "cc", "g++", "clang", "make") if shutil.which(name)],
    written=[place for place in ("/", "/venv", "/code", "/etc", "/var") if os.access(place, os.W_OK)],
    capabilities=Path("/proc/self/status").read_text().split("CapEff:")[1].split()[0],
    no_new_privileges=Path("/proc/self/status").read_text().split("NoNewPrivs:")[1].split()[0])))
"""


def say(text: str) -> None:
    sys.stdout.write(f"\n{text}\n")


def engine(*arguments: object) -> str:
    done = subprocess.run([ENGINE, *map(str, arguments)], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture
def container(bundle: Path, tmp_path: Path, free_ports: Callable[[int], list[int]]) -> Iterator[tuple[str, float]]:
    """The server's image, restricted, with a bundle mounted: its address, and when it was started."""
    mounted = shutil.copytree(bundle, tmp_path / "victim")
    for path in (mounted, *mounted.iterdir()):
        path.chmod(0o755)  # weights are written for their owner alone
    (port,) = free_ports(1)
    published = ["--publish", f"127.0.0.1:{port}:8500", "--volume", f"{mounted}:/bundles/victim:ro"]
    started = time.monotonic()
    name = engine("run", "--detach", *RESTRICTED, *published, IMAGE, "/bundles/victim", "--host=0.0.0.0").strip()
    yield f"127.0.0.1:{port}", started
    engine("stop", "--time=60", name)
    say(engine("logs", name))
    assert engine("inspect", "--format={{.State.ExitCode}}", name).strip() == "0"
    engine("rm", name)


def first_answer(address: str, started: float, key: str = "") -> float:
    """Seconds from `started` to the first answered query."""
    metadata = [("authorization", f"Bearer {key}")] if key else []
    request = to_request("victim", {"images": np.zeros((1, 32, 32, 3), dtype=np.uint8)}, ["embedding"])
    options = [("grpc.max_reconnect_backoff_ms", 200)]
    with grpc.insecure_channel(address, options) as channel:
        while time.monotonic() < started + START_SECONDS:
            try:
                answer = METHODS["ModelInfer"].call(channel)(request, timeout=30, metadata=metadata)
            except grpc.RpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                time.sleep(0.1)
                continue
            assert from_response(answer)["embedding"].shape[0] == 1
            return time.monotonic() - started
    raise AssertionError(f"{address} does not answer after {START_SECONDS:.0f} s")


def audit(run_here: Callable[..., None], url: str, folders: tuple[Path, Path], root: Path, *more: object) -> None:
    """A real audit of the container from this machine, whose questions are all answered."""
    started, (members, others) = time.monotonic(), folders
    run_here("audit", url, "--members", members, "--non-members", others, "--root", root, *ATTACKS, *more)
    (findings,) = (root / "audit").rglob("findings.json")
    answered = [each["queries"]["answered"] for each in json.loads(findings.read_text())["audits"]]
    assert all(answered)
    say(f"an audit of {sum(answered)} answered queries: {time.monotonic() - started:.1f} s")


def test_the_image_holds_what_it_needs_and_no_more() -> None:
    (found,) = json.loads(engine("image", "inspect", IMAGE))
    inside = json.loads(engine("run", "--rm", *RESTRICTED, "--entrypoint", "python", IMAGE, "-c", LOOK_INSIDE))
    assert inside == {
        "user": 10001,
        "found": [],
        "compilers": [],
        "written": [],
        "capabilities": "0" * 16,
        "no_new_privileges": "1",
    }
    assert found["Config"]["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    say(f"{IMAGE}: {found['Size'] / 1e9:.2f} GB")


def test_a_restricted_container_answers_an_audit(
    container: tuple[str, float], run_here: Callable[..., None], image_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    address, started = container
    say(f"from {ENGINE} run to the first answered query: {first_answer(address, started):.1f} s")
    audit(run_here, f"grpc://{address}/victim", image_folders, tmp_path / "runs")


def as_pod(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The local overlay's Deployment as podman can play it, with the Secret that an operator makes by hand.

    A Pod with restartPolicy Never, because podman 4.3 runs init containers again and again elsewhere; its arguments
    expanded, which podman leaves as they are.
    """
    config_maps = {each["metadata"]["name"]: each["data"] for each in objects if each["kind"] == "ConfigMap"}
    deployments = {each["metadata"]["name"]: each for each in objects if each["kind"] == "Deployment"}
    template = deployments["encoder-server"]["spec"]["template"]
    spec = template["spec"] | {"restartPolicy": "Never"}
    (server,), (init,) = spec["containers"], spec["initContainers"]
    given = kubelet.environment(server, config_maps)
    server = server | {"image": IMAGE, "args": [kubelet.expanded(argument, given) for argument in server["args"]]}
    wanted = server["envFrom"][0]["configMapRef"]["name"]
    yield from (each for each in objects if each["kind"] == "ConfigMap" and each["metadata"]["name"] == wanted)
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "encoder-server-api-keys"},
        "data": {"keys": base64.b64encode(KEY.encode()).decode()},
    }
    yield {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "labels": template["metadata"]["labels"]},
        "spec": spec | {"containers": [server], "initContainers": [init | {"image": BUNDLE_IMAGE}]},
    }


@pytest.fixture
def played(manifests: Mapping[str, list[dict[str, Any]]], bundle: Path, tmp_path: Path) -> Iterator[tuple[str, float]]:
    """The local overlay under podman: where its server is, and when it was started."""
    root = Path(__file__).resolve().parent.parent
    made_of = [f"BUNDLE={bundle}", "REGISTRY=localhost", f"BUNDLE_TAG={BUNDLE_IMAGE.split(':')[1]}"]
    subprocess.run(["make", "bundle-image", *made_of], cwd=root, check=True, capture_output=True)
    path = tmp_path / "pod.yaml"
    path.write_text(yaml.safe_dump_all(as_pod(manifests["local"])))
    started = time.monotonic()
    engine("kube", "play", path)
    (pod,) = json.loads(f"[{engine('pod', 'inspect', POD)}]")
    infra = json.loads(engine("container", "inspect", pod["InfraContainerID"]))
    (network,) = infra[0]["NetworkSettings"]["Networks"].values()
    yield network["IPAddress"], started
    engine("kube", "down", path)
    engine("secret", "rm", "encoder-server-api-keys")
    engine("rmi", BUNDLE_IMAGE)


def test_the_manifest_s_own_pod_answers_an_audit(
    played: tuple[str, float], run_here: Callable[..., None], image_folders: tuple[Path, Path], tmp_path: Path
) -> None:
    address, started = played
    key = tmp_path / "key"
    key.write_text(engine("exec", f"{POD}-encoder-server", "cat", KEY_FILE))  # podman 4.3 does not decode it
    seconds = first_answer(f"{address}:8500", started, key.read_text())
    say(f"from {ENGINE} kube play to the first answered query: {seconds:.1f} s")
    audit(run_here, f"grpc://{address}:8500/victim", image_folders, tmp_path / "runs", "--api-key-file", key)
