"""PartCrop's extraction against an in-process endpoint over the bare forwards of the same images and crops.

The extraction is what a worker does for a shard: images, crops, requests, kept answers, ledger, energies, Parquet.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import timm
import torch
from numpy.typing import NDArray

from leakscope.attack_engine.attacks.partcrop import PartCropSignal
from leakscope.attack_engine.endpoints import EndpointSpec
from leakscope.attack_engine.extraction.plan import plan_extraction
from leakscope.attack_engine.extraction.worker import ShardWorker, tasks_of
from leakscope.core import architectures
from leakscope.core.bundles import BundleCard, open_bundle, save_bundle
from leakscope.core.datasets import DatasetSpec

_TARGET = 1.4
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bundle = _bundle(folder / "narrow")
        spec = EndpointSpec(f"local:{bundle}", images_per_request=_REQUEST, threads=1)
        bare = _bare(spec, bundle)
        bare()
        runs = [(_seconds(_extraction(spec, folder / f"run-{r}")), _seconds(bare)) for r in range(_REPEATS)]
    extraction, forwards = (min(side) for side in zip(*runs, strict=True))
    print(f"ratio partcrop_extraction {extraction / forwards:.2f} (target <= {_TARGET})")


def _bundle(folder: Path) -> Path:
    architectures.register()
    model = timm.create_model("resnet18_cifar_narrow", num_classes=0)
    half = (0.5, 0.5, 0.5)
    save_bundle(
        model, folder, BundleCard("untrained", ("embedding", "feature_map"), 32, half, half), {"num_classes": 0}
    )
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
