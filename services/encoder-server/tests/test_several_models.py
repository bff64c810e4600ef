"""Several models from one process: each on a port of its own, known by its own name, and gone together."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import grpc
import pytest

from latentprint.core.oip import METHODS, SERVICE
from latentprint.core.oip import inference_pb2 as pb

LATENTPRINT = Path(sys.executable).with_name("latentprint")
TIMM = ("timm:test_vit", "--weights", "random", "--image-size", "32", "--name", "first")


def metadata(port: int, name: str) -> pb.ModelMetadataResponse:
    method = METHODS["ModelMetadata"]
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(
            f"/{SERVICE}/ModelMetadata",
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        return call(pb.ModelMetadataRequest(name=name), timeout=30)


def test_each_model_answers_on_its_own_port_and_under_its_own_name_alone(tmp_path: Path) -> None:
    ports = tmp_path / "ports"
    process = subprocess.Popen(
        [LATENTPRINT, "serve", *TIMM, "--also", "second=timm:test_vit", "--port", "0", "--port-file", ports],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 180
        while not ports.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert ports.exists(), process.communicate()
        first, second = (int(line) for line in ports.read_text().split())
        assert first != second
        assert metadata(first, "first").name == "first"
        assert metadata(second, "second").name == "second"
        with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
            metadata(first, "second")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
