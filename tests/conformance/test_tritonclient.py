"""An unmodified public client of the Open Inference Protocol works against our server, over a real connection."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import timm

from latentprint.core.bundles import BundleCard, open_bundle, save_bundle
from latentprint.core.oip import inference_pb2 as pb

pytestmark = pytest.mark.conformance

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-conformance" / "bin" / "python"
DRIVER = Path(__file__).with_name("drive_triton.py")
LATENTPRINT = Path(sys.executable).with_name("latentprint")
# The first is KServe's and has another meaning in MLServer's copy of the protocol; the second is ours.
NOT_IN_TRITON = {
    "properties",
    "PropertiesEntry.key",
    "PropertiesEntry.value",
    "latentprint_properties",
    "LatentprintPropertiesEntry.key",
    "LatentprintPropertiesEntry.value",
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles") / "victim"
    options = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 1, "num_heads": 3, "num_classes": 0}
    options |= {"global_pool": "avg", "fc_norm": False, "dynamic_img_size": True}
    card = BundleCard("untrained", ("embedding", "feature_map"), 32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    save_bundle(timm.create_model("vit_tiny_patch16_224", **options), folder, card, options)
    return folder


@pytest.fixture(scope="module")
def port(bundle, tmp_path_factory):
    port_file = tmp_path_factory.mktemp("run") / "port"
    command = [LATENTPRINT, "serve", bundle, "--port", "0", "--port-file", port_file, "--threads", "1"]
    process = subprocess.Popen([*map(str, command)], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 120
    while not port_file.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.1)
    yield int(port_file.read_text())
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def report(port):
    """What the client got."""
    if not PYTHON.exists():
        pytest.fail(f"{PYTHON} is missing: run `make setup`, which makes the public client's own environment.")
    command = [PYTHON, DRIVER, f"127.0.0.1:{port}", "victim"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def expected(bundle):
    encoder, _ = open_bundle(bundle)

    def answer(count, side):
        images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)
        return encoder.answer(images, encoder.outputs)

    return answer


def test_server_and_model_say_that_they_are_ready(report):
    sync = report["sync"]
    assert (sync["live"], sync["ready"], sync["model_ready"], sync["other_ready"]) == (True, True, True, False)
    assert (report["aio"]["live"], report["aio"]["model_ready"]) == (True, True)
    assert sync["server"]["name"] == "latentprint"


def test_metadata_reads_as_the_standards(report):
    model = report["sync"]["model"]
    assert (model["name"], model["versions"]) == ("victim", ["1"])
    assert model["inputs"] == [{"name": "images", "datatype": "UINT8", "shape": ["-1", "-1", "-1", "3"]}]
    assert [(one["name"], one["datatype"]) for one in model["outputs"]] == [
        ("embedding", "FP32"),
        ("feature_map", "FP32"),
    ]


@pytest.mark.parametrize(("index", "count", "side"), [(0, 4, 32), (1, 3, 16)])
def test_raw_images_get_the_encoders_own_answers(report, expected, index, count, side):
    for name, array in expected(count, side).items():
        answer = report["sync"]["answers"][index][name]
        assert (answer["shape"], answer["dtype"]) == (list(array.shape), "float32")
        np.testing.assert_allclose(answer["first"], array[0].ravel()[:4], atol=1e-5)


def test_all_outputs_come_where_none_is_named_and_ids_come_back(report):
    assert report["sync"]["all_outputs"] == ["embedding", "feature_map"]
    assert report["sync"]["id"] == "(4, 32)"


def test_concurrent_calls_get_their_own_rows(report, expected):
    assert report["aio"]["counts"] == list(range(1, 9))
    np.testing.assert_allclose(report["aio"]["whole"], expected(8, 32)["embedding"], atol=1e-5)


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [
        ("unknown_model", "StatusCode.NOT_FOUND", "No model 'other' here"),
        ("unknown_metadata", "StatusCode.NOT_FOUND", "No model 'other' here"),
        ("unknown_output", "StatusCode.INVALID_ARGUMENT", "Unknown output 'x'. Known: embedding, feature_map."),
        ("floats", "StatusCode.INVALID_ARGUMENT", "must be UINT8"),
    ],
)
def test_errors_arrive_with_their_sentence(report, name, status, words):
    assert report["sync"][name]["status"] == status
    assert words in report["sync"][name]["message"]


def test_every_message_has_the_clients_own_fields(report):
    for name, descriptor in pb.DESCRIPTOR.message_types_by_name.items():
        ours = {path: field for path, field in fields(descriptor).items() if path not in NOT_IN_TRITON}
        theirs = report["fields"][name]
        assert ours == {path: field for path, field in theirs.items() if path not in NOT_IN_TRITON}, name


def fields(descriptor, prefix=""):
    """Every field of a message and its nested ones: name to number, type and label."""
    found = {}
    for field in descriptor.fields:
        inner = field.message_type
        found[f"{prefix}{field.name}"] = [field.number, field.type, inner.name if inner else ""]
    for nested in descriptor.nested_types:
        found |= fields(nested, f"{prefix}{nested.name}.")
    return found
