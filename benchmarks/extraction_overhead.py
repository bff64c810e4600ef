"""PartCrop's extraction against an in-process endpoint over the bare forwards of the same images and crops.

The extraction is what a worker does for a shard: images, crops, requests, kept answers, ledger, energies, Parquet.
Measured with a small ResNet and with a small ViT, at 32x32.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.plan import plan_extraction
from latentprint.attack_engine.asking.worker import ShardWorker, tasks_of
from latentprint.attack_engine.signals.part_crops import PartCropSignal
from latentprint.core import architectures
from latentprint.core.bundles import BundleCard, open_bundle, save_bundle
from latentprint.core.datasets import DatasetSpec
from latentprint.trainer.recipes.vit import VIT, vit_arguments

_TARGET = 1.25
_HALF = (0.5, 0.5, 0.5)
_ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet": ("resnet18_cifar_narrow", {"num_classes": 0}),
    "vit": (VIT, vit_arguments(32, patch_size=8, embed_dim=128, depth=4, heads=4)),
}
_SAMPLES = 32
_REPEATS = 7
_REQUEST = 256


class _Recorder:
    """An endpoint that passes every query on and remembers it."""

    def __init__(self, spec: EndpointSpec) -> None:
        self._endpoint = spec.open()
        self.card, self.counts = self._endpoint.card, self._endpoint.counts
        self.queries: list[tuple[NDArray[np.uint8], Sequence[str]]] = []

    def query(self, images: NDArray[np.uint8], outputs: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        self.queries.append((images, outputs))
        return self._endpoint.query(images, outputs)

    def close(self) -> None:
        self._endpoint.close()

    def __enter__(self) -> "_Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def main() -> None:
    """Print the ratio of the fastest of interleaved runs, with one torch thread."""
    torch.set_num_threads(1)
    for name in _ENCODERS:
        with tempfile.TemporaryDirectory() as folder:
            extraction, forwards = _fastest(name, Path(folder))
        print(f"ratio partcrop_extraction_{name} {extraction / forwards:.2f} (target <= {_TARGET})")


def _fastest(name: str, folder: Path) -> tuple[float, float]:
    """Seconds of the fastest extraction and of the fastest bare forwards, from interleaved runs."""
    bundle = _bundle(name, folder / name)
    spec = EndpointSpec(f"local:{bundle}", images_per_request=_REQUEST, threads=1)
    bare = _bare(spec, bundle)
    bare()
    runs = [(_seconds(_extraction(spec, folder / f"run-{r}")), _seconds(bare)) for r in range(_REPEATS)]
    extraction, forwards = (min(side) for side in zip(*runs, strict=True))
    return extraction, forwards


def _bundle(name: str, folder: Path) -> Path:
    architectures.register()
    architecture, arguments = _ENCODERS[name]
    model = timm.create_model(architecture, **arguments)
    save_bundle(model, folder, BundleCard("untrained", ("embedding", "feature_map"), 32, _HALF, _HALF), arguments)
    return folder


def _data() -> DatasetSpec:
    return DatasetSpec("digits", {"side": 32})


def _extraction(spec: EndpointSpec, folder: Path) -> Callable[[], None]:
    plan = plan_extraction([PartCropSignal()], _data(), np.arange(_SAMPLES), spec, folder)
    worker = ShardWorker([plan])
    worker.prepare(tasks_of([plan])[0])

    def run() -> None:
        for task in tasks_of([plan]):
            worker.run(task)
        worker.close()

    return run


def _bare(spec: EndpointSpec, bundle: Path) -> Callable[[], None]:
    """The encoder's answers to the very images that the extraction asks, in batches of the same size."""
    ids = np.arange(_SAMPLES)
    with _Recorder(spec) as recorder:
        PartCropSignal().extract(_data().open().images(ids), ids, recorder)
    encoder, _ = open_bundle(bundle)
    batches = [
        (images[start : start + _REQUEST], outputs)
        for images, outputs in recorder.queries
        for start in range(0, len(images), _REQUEST)
    ]

    def run() -> None:
        for images, outputs in batches:
            encoder.answer(images, outputs)

    return run


def _seconds(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
