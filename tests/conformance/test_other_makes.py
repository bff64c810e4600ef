"""MLServer's and KServe's servers are audited as they are, and their own clients read our server's answers."""

import json
import os
import runpy
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from latentprint.attack_engine.asking import Counts, EndpointSpec
from latentprint.core.bundles import open_bundle

pytestmark = [pytest.mark.conformance, pytest.mark.slow]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
encode = runpy.run_path(str(HERE / "random_features.py"))["encode"]
NAMES = {"embedding": "pooled", "feature_map": "map"}
NAMED = [part for name, theirs in NAMES.items() for part in ("--output-name", f"{name}={theirs}")]
PARTS = ["--attack", "partcrop", "--attack-option", "partcrop.crops=4", "--inference", "logistic"]
SIDE = ["--attack-option", "partcrop.side=32"]


def binary(make, name):
    path = ROOT / f".venv-{make}" / "bin" / name
    if not path.exists():
        pytest.fail(f"{path} is missing: run `make setup`, which makes an environment for {make}.")
    return str(path)


def started(command, port, folder):
    """The process of a server, once its gRPC port is open."""
    log = folder / "log"
    environment = {**os.environ, "PYTHONPATH": str(HERE), "OMP_NUM_THREADS": "1"}
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + 180
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.2)
    process.kill()
    pytest.fail(f"{command[0]} did not start:\n{log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def mlserver(tmp_path_factory, free_ports):
    folder = tmp_path_factory.mktemp("mlserver")
    http, grpc = free_ports(2)
    settings = {"host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_endpoint": None}
    outputs = (("label", "BYTES", [-1, 1]), ("map", "FP64", [-1, 16, 12]), ("pooled", "FP64", [-1, 12]))
    model = {
        "name": "encoder",
        "implementation": "mlserver_runtime.RandomFeatures",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 3, 32, 32]}],
        "outputs": [dict(zip(("name", "datatype", "shape"), each, strict=True)) for each in outputs],
    }
    (folder / "settings.json").write_text(json.dumps(settings | {"parallel_workers": 0, "debug": False}))
    (folder / "model-settings.json").write_text(json.dumps(model))
    process = started([binary("mlserver", "mlserver"), "start", "."], grpc, folder)
    yield f"grpc://127.0.0.1:{grpc}/encoder"
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def kserve(tmp_path_factory, free_ports):
    http, grpc = free_ports(2)
    command = [binary("kserve", "python"), str(HERE / "kserve_model.py"), str(http), str(grpc)]
    process = started(command, grpc, tmp_path_factory.mktemp("kserve"))
    yield f"grpc://127.0.0.1:{grpc}/encoder"
    process.terminate()
    process.wait(60)


def check_answers(spec, card):
    images = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)
    feature_map, embedding = encode(images.transpose(0, 3, 1, 2) / 255)
    with spec.open() as endpoint:
        assert (endpoint.card.batch, endpoint.card.min_side, endpoint.card.max_side, endpoint.card.image_side) == card
        answers = endpoint.query(images, ("embedding", "feature_map"))
        assert endpoint.counts == Counts(sent=5, answered=5)
    np.testing.assert_allclose(answers["embedding"], embedding, atol=1e-5)
    np.testing.assert_allclose(answers["feature_map"], feature_map, atol=1e-5)


def test_mlservers_answers_are_the_encoders(mlserver):
    check_answers(EndpointSpec(mlserver, output_names=NAMES), (1, 32, 32, 32))


def test_kserves_answers_are_the_encoders(kserve):
    check_answers(EndpointSpec(kserve), (None, 32, 32, 32))


@pytest.fixture
def audited(latentprint, image_folders, tmp_path, cluster):
    """Run an audit of an endpoint with these options on few images."""
    members, others = (str(folder) for folder in image_folders)

    def run(url, *options):
        samples = ("--members", members, "--non-members", others, "--workers", "1")
        return latentprint("audit", url, *samples, *options, "--root", tmp_path)

    return run


def check_report(ended):
    assert ended.code == 0, ended.err
    findings = json.loads(Path(ended.out.strip().splitlines()[-1]).with_name("findings.json").read_text())
    (audit,) = findings["audits"]
    assert audit["attack"]["name"] == "partcrop"
    assert audit["queries"]["answered"] == 90 * 5


def test_mlserver_is_audited_as_it_is(mlserver, audited):
    for options, words in (
        (PARTS, "--output-name feature_map=NAME"),
        (["--attack", "encodermi"], "no output named 'embedding'. Known: label [1], map [16, 12], pooled [12]"),
        (
            [*PARTS, *NAMED],
            "32x32 pixels alone, not 16x16: have partcrop ask about that with --attack-option partcrop.side=32",
        ),
    ):
        ended = audited(mlserver, *options)
        assert ended.code in (2, 4)
        assert words in ended.err
    check_report(audited(mlserver, *PARTS, *NAMED, *SIDE))


def test_kserves_server_is_audited_as_it_is(kserve, audited):
    ended = audited(kserve, *PARTS)
    assert (ended.code, "--attack-option partcrop.side=32" in ended.err) == (4, True), ended.err
    check_report(audited(kserve, *PARTS, *SIDE))


@pytest.mark.parametrize("make", ["mlserver", "kserve"])
def test_another_makes_own_client_reads_our_metadata_and_answers(make, endpoint, bundle):
    address, _, model = endpoint.removeprefix("grpc://").partition("/")
    command = [binary(make, "python"), str(HERE / f"drive_{make}.py"), address, model]
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, env=plain)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["live"], report["ready"], report["name"]) == (True, True, model)
    assert report["inputs"] == [["images", "UINT8", [-1, -1, -1, 3]]]
    assert report["outputs"] == ["embedding", "feature_map"]
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    expected = open_bundle(bundle)[0].answer(images, ("embedding",))["embedding"]
    for kind in ("typed", "raw"):
        np.testing.assert_allclose(np.reshape(report[kind], expected.shape), expected, atol=1e-4)
