"""Extraction with 1, 2, 4 and 8 workers that share no disk with the driver, and the driver's memory.

The endpoint takes its time over every request and computes next to nothing, as one does whose GPUs are elsewhere: what
is measured is what workers, ledger and storage add. Throughput is counted between the first and the last answer, after
an extraction that has every worker's process started. Memory is the driver's peak, in a process of its own.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from rich.console import Console

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.extract import extract
from latentprint.attack_engine.asking.plan import plan_extraction
from latentprint.attack_engine.scheduling.workers import RayWorkers
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.core.datasets import DatasetSpec
from latentprint.core.mirror import SCRATCH, mirrored
from latentprint.core.oip import METHODS, SERVICE, from_request
from latentprint.core.oip import inference_pb2 as pb
from latentprint.core.outputs import EMBEDDING

_LEAST_EFFICIENCY, _MOST_MEMORY = 0.9, 1.1
_WORKERS = (1, 2, 4, 8)
_SECONDS = 1.0  # that a request takes
_IMAGES = 64  # in a request
_SHARD = 512  # samples; those of an attack that asks little of each are twice as many
_SHARDS = 2  # of each worker
_FEW, _MANY = 1_000, 100_000
_FEATURES = 128  # so many that no two samples are one


def main() -> None:
    """Print efficiencies and the ratio of peaks; with an address and a number of samples, that extraction's peak."""
    if len(sys.argv) > 1:
        extracted(sys.argv[1], 2, int(sys.argv[2]), 1024, of=_MANY)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        return
    with ExitStack() as servers:
        slow, quick = (servers.enter_context(_Server(seconds)).url for seconds in (_SECONDS, 0.0))
        rates = {workers: extracted(slow, workers, workers * _SHARDS * _SHARD, _SHARD) for workers in _WORKERS}
        few, many = (_in_own_process(quick, samples) for samples in (_FEW, _MANY))
    for workers, rate in rates.items():
        efficiency = rate * _SECONDS / (workers * _IMAGES)
        print(f"{workers} workers: {rate:.1f} images/s, {efficiency:.3f} of what the endpoint's time allows")
    print(f"ratio worker_scaling {efficiency:.3f} (target >= {_LEAST_EFFICIENCY})")
    print(f"driver's peak memory: {few} MiB for {_FEW:,} samples, {many} MiB for {_MANY:,}")
    print(f"ratio driver_memory {many / few:.3f} (target <= {_MOST_MEMORY})")


def _in_own_process(url: str, samples: int) -> int:
    command = [sys.executable, "-m", "benchmarks.worker_scaling", url, str(samples)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def extracted(url: str, workers: int, samples: int, shard_size: int, of: int = 0) -> float:
    """Extract `samples` vectors `of` so many by workers through a storage; images a second."""
    data = DatasetSpec("baskets", {"count": of or samples, "features": _FEATURES})
    endpoint = EndpointSpec(url, in_flight=1, images_per_request=_IMAGES, canaries=0)
    with tempfile.TemporaryDirectory() as folder, mirrored(Path(folder) / "runs", f"{folder}/storage") as mirror:
        os.environ[SCRATCH] = f"{folder}/scratch"
        place = RayWorkers(mirror)
        with place.session(workers):
            for name, ids, size in (
                ("started", np.arange(4 * workers), 1),
                ("measured", np.arange(samples), shard_size),
            ):
                plan = plan_extraction(
                    [PlainAnswer(EMBEDDING)], data, ids, endpoint, Path(folder) / "runs" / name, shard_size=size
                )
                ((found,),) = extract([plan], workers=workers, console=Console(quiet=True), place=place)
    assert found.taken is not None
    assert found.counts.answered == samples
    first, last = found.taken
    return (samples - workers * _IMAGES) / max(last - first, 1e-9)


class _Server:
    """An endpoint of vectors that answers each request after some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def _metadata(self, _request: Any, _context: Any) -> pb.ModelMetadataResponse:
        response = pb.ModelMetadataResponse(name="encoder")
        response.inputs.add(name="x", datatype="FP32", shape=(-1, _FEATURES))
        response.outputs.add(name=EMBEDDING, datatype="FP32", shape=[-1, _FEATURES])
        return response

    def _infer(self, request: pb.ModelInferRequest, _context: Any) -> pb.ModelInferResponse:
        (vectors,) = from_request(request).values()
        time.sleep(self._seconds)
        response = pb.ModelInferResponse(model_name="encoder", id=request.id)
        response.outputs.add(name=EMBEDDING, datatype="FP32", shape=vectors.shape)
        response.raw_output_contents.append((vectors + 1).astype("<f4").tobytes())
        return response

    def __enter__(self) -> "_Server":
        calls = {
            "ServerMetadata": lambda *_: pb.ServerMetadataResponse(name="slow"),
            "ServerReady": lambda *_: pb.ServerReadyResponse(ready=True),
            "ModelReady": lambda *_: pb.ModelReadyResponse(ready=True),
            "ModelMetadata": self._metadata,
            "ModelInfer": self._infer,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(
                call, METHODS[name].request.FromString, METHODS[name].response.SerializeToString
            )
            for name, call in calls.items()
        }
        self._server = grpc.server(ThreadPoolExecutor(2 * max(_WORKERS)))
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        self.url = f"grpc://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}/encoder"
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(0).wait()


if __name__ == "__main__":
    main()
