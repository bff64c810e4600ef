"""Peak memory of an extraction worker: 20,000 samples of a data set over 1,000 of the same data set.

Each extraction runs in a process of its own; what is compared is the process's peak resident memory.
"""

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import timm

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.plan import plan_extraction
from latentprint.attack_engine.asking.worker import ShardWorker, tasks_of
from latentprint.attack_engine.signals.part_crops import PartCropSignal
from latentprint.core.bundles import BundleCard, save_bundle
from latentprint.core.datasets import DatasetSpec
from latentprint.trainer.recipes.vit import VIT, vit_arguments

_TARGET = 1.05
_FEW, _MANY = 1_000, 20_000
_CROPS = 4


def main() -> None:
    """Print the ratio of the two peaks; with a number of samples as argument, extract them and print the peak."""
    if len(sys.argv) > 1:
        print(_peak(int(sys.argv[1])))
        return
    few, many = (_in_own_process(samples) for samples in (_FEW, _MANY))
    print(f"peak memory: {few} MiB for {_FEW:,} samples, {many} MiB for {_MANY:,}")
    print(f"ratio extraction_memory {many / few:.3f} (target <= {_TARGET})")


def _in_own_process(samples: int) -> int:
    command = [sys.executable, "-m", "benchmarks.extraction_memory", str(samples)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _peak(samples: int) -> int:
    """Extract `samples` samples; peak resident memory of this process, MiB."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        arguments = vit_arguments(32, patch_size=8, embed_dim=32, depth=1, heads=2)
        half = (0.5, 0.5, 0.5)
        card = BundleCard("untrained", ("embedding", "feature_map"), 32, half, half)
        save_bundle(timm.create_model(VIT, **arguments), folder / "bundle", card, arguments)
        endpoint = EndpointSpec(f"local:{folder / 'bundle'}", threads=1)
        data = DatasetSpec("composites", {"count": _MANY})
        plan = plan_extraction([PartCropSignal(crops=_CROPS)], data, np.arange(samples), endpoint, folder / "signals")
        worker = ShardWorker([plan])
        for task in tasks_of([plan]):
            worker.run(task)
        worker.close()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main()
