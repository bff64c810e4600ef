"""Images per second through the encoder server against the bare forward of the same model in this process.

Each round measures the bare forward, requests of 256 images, and requests of 1 image with 256 in flight, one after
the other, so that whatever else the machine does falls on all three; the ratios are medians over the rounds.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import timm
import torch
from numpy.typing import NDArray

from latentprint.core.encoders import Encoder
from latentprint.core.oip import METHODS, to_request
from latentprint.core.outputs import EMBEDDING

MODEL = "resnet18"
SIDE = 32
THREADS = 1
ROUNDS = 5
IMAGES = 2048
START_SECONDS = 120

TARGETS = {"server_256_per_request": 0.85, "server_1_per_request": 0.60}


def server_ratios(rounds: int = ROUNDS, images: int = IMAGES) -> dict[str, float]:
    """Median ratio of served to bare images per second, by name, over `rounds` of `images` each."""
    torch.set_num_threads(THREADS)
    pixels = np.random.default_rng(0).integers(0, 256, (images, SIDE, SIDE, 3), dtype=np.uint8)
    encoder = Encoder(timm.create_model(MODEL), [EMBEDDING])
    with _server() as port:
        asyncio.run(_round(encoder, port, pixels[:256]))  # warm-up
        measured = [asyncio.run(_round(encoder, port, pixels)) for _ in range(rounds)]
    return {name: statistics.median(row[name] / row["bare"] for row in measured) for name in TARGETS}


async def _round(encoder: Encoder, port: int, pixels: NDArray[np.uint8]) -> dict[str, float]:
    return {
        "bare": len(pixels) / _bare(encoder, pixels),
        "server_256_per_request": len(pixels) / await _served(port, pixels, each=256, in_flight=4),
        "server_1_per_request": len(pixels) / await _served(port, pixels, each=1, in_flight=256),
    }


def _bare(encoder: Encoder, pixels: NDArray[np.uint8]) -> float:
    started = time.perf_counter()
    for start in range(0, len(pixels), 256):
        encoder.answer(pixels[start : start + 256], [EMBEDDING])
    return time.perf_counter() - started


async def _served(port: int, pixels: NDArray[np.uint8], *, each: int, in_flight: int) -> float:
    """Seconds to have all `pixels` answered, `each` a request."""
    parts = iter([pixels[start : start + each] for start in range(0, len(pixels), each)])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.enable_retries", 0)]) as channel:
        infer = METHODS["ModelInfer"].call(channel)
        await channel.channel_ready()
        started = time.perf_counter()
        await asyncio.gather(*[_ask(infer, parts) for _ in range(in_flight)])
        return time.perf_counter() - started


async def _ask(infer: grpc.aio.UnaryUnaryMultiCallable, parts: Iterator[NDArray[np.uint8]]) -> None:
    for part in parts:
        await infer(to_request(MODEL, {"images": part}, [EMBEDDING]))


@contextmanager
def _server() -> Iterator[int]:
    """A server process of its own, limited to the same torch threads; yields its port."""
    with tempfile.TemporaryDirectory() as folder:
        port_file = Path(folder) / "port"
        options = ["--weights", "random", "--outputs", EMBEDDING, "--threads", str(THREADS)]
        command = [str(Path(sys.executable).with_name("latentprint")), "serve", f"timm:{MODEL}", *options]
        environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
        process = subprocess.Popen([*command, "--port", "0", "--port-file", str(port_file)], env=environment)
        try:
            yield _port(process, port_file)
        finally:
            process.terminate()
            process.wait()


def _port(process: "subprocess.Popen[bytes]", port_file: Path) -> int:
    deadline = time.monotonic() + START_SECONDS
    while not port_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the server did not start")
        time.sleep(0.1)
    return int(port_file.read_text())


def main() -> None:
    """Print one line a ratio."""
    for name, value in server_ratios().items():
        print(f"ratio {name} {value:.3f} (target >= {TARGETS[name]:.2f})")


if __name__ == "__main__":
    main()
