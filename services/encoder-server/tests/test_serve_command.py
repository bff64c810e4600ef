"""`latentprint serve` as users run it."""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest
import typer
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from latentprint.core.errors import DataError, LatentprintError, UsageError
from latentprint.core.oip import METHODS, from_response, to_request
from latentprint.encoder_server.commands import register

LATENTPRINT = Path(sys.executable).with_name("latentprint")


def serve(*arguments: object) -> LatentprintError:
    """What `latentprint serve` fails with, run in this process."""
    app = typer.Typer()
    app.callback()(lambda: None)
    register(app)
    result = CliRunner().invoke(app, ["serve", *map(str, arguments)])
    assert isinstance(result.exception, LatentprintError), (result.output, result.exception)
    return result.exception


@pytest.fixture
def spawned(tmp_path):
    """Starts server processes; yields a function from arguments to (process, port)."""
    processes = []

    def spawn(*arguments):
        port_file = tmp_path / "run" / "port"
        command = [LATENTPRINT, "serve", *arguments, "--port", "0", "--port-file", port_file, "--threads", "1"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        processes.append(process)
        deadline = time.monotonic() + 120
        while not port_file.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert port_file.exists(), process.communicate()
        assert [each.name for each in port_file.parent.iterdir()] == ["port"]
        return process, int(port_file.read_text())

    yield spawn
    for process in processes:
        process.kill()
        process.communicate()


UNCOMPILED = """
import sys
from latentprint.core.cli import main
try:
    main()
finally:
    assert "timm" in sys.modules
    assert "torch._dynamo" not in sys.modules
    import torch
    assert torch.compiler.disable(main) is not main
    assert sys.modules["torch._dynamo.utils"].is_compile_supported("cpu") in (True, False)
"""


def test_a_server_starts_without_the_compiler_and_leaves_it_whole(bundle):
    command = [sys.executable, "-c", UNCOMPILED, "serve", bundle, "--port", "0", "--until-stdin-closes"]
    command += ["--settle-seconds", "0"]
    done = subprocess.run([*map(str, command)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "serving victim" in done.stdout


@pytest.mark.slow
def test_serves_a_bundle_and_drains_on_sigterm(spawned, bundle, images):
    process, port = spawned(bundle, "--outputs", "embedding", "--settle-seconds", "0.1")
    assert process.stdout.readline() == f"serving victim on grpc://127.0.0.1:{port}\n"
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        infer = METHODS["ModelInfer"].call(channel)
        request = to_request("victim", {"images": images(64)}, ["embedding"])
        assert from_response(infer(request, timeout=20))["embedding"].shape == (64, 48)
        with pytest.raises(grpc.RpcError, match="Unknown output 'feature_map'"):
            infer(to_request("victim", {"images": images(1)}, ["feature_map"]), timeout=20)
        under_way = [infer.future(request, timeout=60) for _ in range(8)]
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert all(from_response(each.result())["embedding"].shape == (64, 48) for each in under_way)
    assert process.wait(30) == 0


@pytest.mark.slow
def test_serves_an_untrained_timm_model(spawned, images):
    small = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 1, "num_heads": 3}
    options = [part for key, value in small.items() for part in ("--model-arg", f"{key}={value}")]
    process, port = spawned("timm:vit_tiny_patch16_224", "--weights", "random", "--name", "x", *options)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = METHODS["ModelMetadata"]
        properties = ask.call(channel)(ask.request(name="x"), timeout=20).latentprint_properties
        assert (properties["architecture"], properties["image_size"]) == (
            "vit_tiny_patch16_224",
            "32",
        )
        assert (properties["min_side"], properties["max_side"]) == ("32", "32")
        infer = METHODS["ModelInfer"].call(channel)
        with pytest.raises(grpc.RpcError, match="Images of 16x16 are not taken"):
            infer(to_request("x", {"images": images(1, 16)}, []), timeout=20)
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_a_port_in_use_says_so(bundle):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = serve(bundle, "--port", port)
    assert isinstance(error, UsageError)
    assert str(error).startswith(f"Port {port} on 127.0.0.1 is in use")


def test_a_missing_key_file_says_so(bundle, tmp_path):
    error = serve(bundle, "--port", 0, "--api-key-file", tmp_path / "none")
    assert isinstance(error, DataError)
    assert "No such API key file" in str(error)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--outputs", "embeding"],
            "Unknown output 'embeding'. Did you mean 'embedding'? Known: embedding, feature_map.",
        ),
        (["--outputs", "posterior"], "Unknown output 'posterior'."),
        (["--name", "../x"], "--name '../x' cannot end an endpoint's address"),
        (["--name", ".."], "cannot end an endpoint's address"),
        (["--name", "a b"], "cannot end an endpoint's address"),
        (["--name", "a\x1b[31m"], "--name 'a\\\\x1b[31m' cannot end"),
        (["--image-size", "0"], "--image-size must be a side in pixels"),
        (["--mean", "127,127,127"], "between 0 and 1; divide by 255"),
        (["--std", "0.5,0.5"], "give one number a channel"),
        (["--precision", "fp8"], "Unknown precision 'fp8'."),
        (["--device", "cuda:99"], "The device 'cuda:99' cannot be used here"),
        (["--device", "gpu"], "The device 'gpu' cannot be used here"),
        (["--port", "70000"], "Port 70000 does not exist"),
        (["--max-batch", "0"], "--max-batch must be at least 1"),
        (["--max-delay-ms", "-1"], "--max-delay-ms must be finite and not negative"),
        (["--max-queued-images", "10"], "a full request could never be taken"),
        (["--max-message-bytes", "0"], "--max-message-bytes must be at least 1"),
        (["--model-arg", "img_size=32"], "--mean and --std belong to timm models"),
    ],
)
def test_a_wrong_option_says_so(bundle, arguments, words):
    error = serve(bundle, *(["--port", "0"] if "--port" not in arguments else []), *arguments)
    assert words in str(error)
    assert isinstance(error, UsageError)


@pytest.fixture
def spoilt(bundle, tmp_path):
    """A copy of the bundle, to be spoilt."""
    folder = tmp_path / "victim"
    folder.mkdir()
    for path in bundle.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_bundle_that_is_not_there_says_so(tmp_path):
    assert "not a folder" in str(serve(tmp_path / "none"))


def test_a_truncated_bundle_is_refused(spoilt):
    weights = spoilt / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    error = serve(spoilt)
    assert isinstance(error, DataError)
    assert "truncated or altered" in str(error)


class Planted:
    """Touches a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_no_pickle_is_ever_loaded(spoilt, tmp_path, name):
    trap = tmp_path / "trap"
    (spoilt / name).write_bytes(pickle.dumps(Planted(trap)))
    assert isinstance(serve(spoilt), DataError)
    assert not trap.exists()


def test_a_pickle_in_place_of_the_weights_is_not_loaded_even_with_its_own_digest(spoilt, tmp_path):
    trap = tmp_path / "trap"
    weights = spoilt / "model.safetensors"
    weights.write_bytes(pickle.dumps(Planted(trap)))
    redigest(spoilt)
    error = serve(spoilt)
    assert isinstance(error, DataError)
    assert not trap.exists()


def test_weights_of_another_model_are_refused(spoilt):
    state = load_file(spoilt / "model.safetensors")
    first = sorted(state)[0]
    save_file({**state, first: state[first].repeat(2, 1, 1)}, spoilt / "model.safetensors")
    redigest(spoilt)
    assert isinstance(serve(spoilt), DataError)


def redigest(folder):
    from latentprint.core.digests import digest_file

    card = json.loads((folder / "latentprint.json").read_text())
    card["weights_digest"] = digest_file(folder / "model.safetensors")
    (folder / "latentprint.json").write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["timm:resnet81", "--weights", "random"], UsageError, "Unknown architecture 'resnet81'. Did you mean"),
        (["timm:test_vit", "--weights", "imagenet"], UsageError, "Unknown source of weights 'imagenet'."),
        (["timm:test_vit", "--weights", "random", "--model-arg", "img_size"], UsageError, "write KEY=VALUE"),
        (
            ["timm:test_vit", "--weights", "random", "--model-arg", "sides=3"],
            UsageError,
            "timm does not make 'test_vit'",
        ),
        (["timm:resnet18_cifar"], DataError, "timm knows no weights on the hub"),
    ],
)
def test_a_wrong_timm_model_says_so(arguments, kind, words):
    error = serve(*arguments, "--port", "0")
    assert isinstance(error, kind)
    assert words in str(error)
