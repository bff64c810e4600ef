"""The README's shell commands, run verbatim and in order, as a reader would: python tests/readme_commands.py FOLDER.

FOLDER, empty, becomes the reader's: with two folders of images and a file of weights in it. A command that ends in "&"
goes on in the background, and the next one waits until it says that it serves.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image

from latentprint.core.datasets import DatasetSpec

README = Path(__file__).resolve().parent.parent / "README.md"
NOT_RUN: Mapping[str, str] = {
    "make demo": "makes an environment of its own and runs for minutes; tests/test_first_light.py runs its like",
    "make test": "runs this",
    "pip install ./libs/* ./services/*": "fetches packages; tests/test_wheels.py installs them without",
    "latentprint run quickstart": "runs for minutes; tests/test_wheels.py starts it",
    "latentprint run partcrop/table-4-energies": "runs for half an hour",
    "latentprint run partcrop/table-4-energies --scale paper": "needs CIFAR-100's archive and GPUs",
    "latentprint serve timm:vit_small_patch14_dinov2.lvd142m --port 8501": "needs weights from the Hugging Face hub",
}
"""Commands that need what is not here, and what that is."""

_IMAGES = 24  # in either folder
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_START_SECONDS = 180.0
_PORT = re.compile(r"--port (\d+)")


def commands(text: str) -> list[str]:
    """The commands of the ```sh blocks, in order, continuation lines joined and comments taken off."""
    lines = "\n".join(_BLOCK.findall(text)).replace("\\\n", " ").splitlines()
    return [" ".join(line.split("#")[0].split()) for line in lines if line.split("#")[0].strip()]


def bring(folder: Path) -> None:
    """What the README takes for granted that a reader has."""
    images = DatasetSpec("composites", {"count": 2 * _IMAGES}).open().images(np.arange(2 * _IMAGES))
    for name, rows in (("trained_on", images[:_IMAGES]), ("not_trained_on", images[_IMAGES:])):
        (folder / name).mkdir(parents=True)
        for index, pixels in enumerate(rows):
            Image.fromarray(pixels).save(folder / name / f"{index:03}.png")
    torch.save(timm.create_model("resnet18").state_dict(), folder / "weights.pt")


def run_all(folder: Path) -> dict[str, float]:
    """Run every command that can be run, in `folder`; seconds of each.

    Raises:
        RuntimeError: one failed, with its last words, or its port is in use.
    """
    seconds = {}
    with ExitStack() as background:
        for command in commands(README.read_text(encoding="utf-8")):
            if command in NOT_RUN:
                continue
            started = time.monotonic()
            if command.endswith("&"):
                background.enter_context(_serving(command.removesuffix("&").strip(), folder))
            else:
                _run(command, folder)
            seconds[command] = time.monotonic() - started
    return seconds


def _run(command: str, folder: Path) -> None:
    ended = subprocess.run(["bash", "-c", command], cwd=folder, env=_environment(), capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(f"{command!r} ended with {ended.returncode}: {ended.stderr[-2000:]}")


@contextmanager
def _serving(command: str, folder: Path) -> Iterator[None]:
    """The command in the background, from when it serves on."""
    (port,) = map(int, _PORT.findall(command))
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise RuntimeError(f"Port {port}, which {command!r} takes, is in use on this machine.")
    log = folder / f"{port}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=folder, env=_environment(), stdout=stream, stderr=subprocess.STDOUT
        )
    try:
        deadline = time.monotonic() + _START_SECONDS
        while "serving" not in log.read_text(errors="replace"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command!r} does not serve: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _environment() -> dict[str, str]:
    """Ours, with the command that is installed beside this Python first."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def main() -> None:
    """Run them in the folder that the command line names."""
    folder = Path(sys.argv[1])
    bring(folder)
    for command, seconds in run_all(folder).items():
        sys.stdout.write(f"{seconds:6.1f} s  {command}\n")


if __name__ == "__main__":
    main()
