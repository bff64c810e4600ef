"""Part crops of a batch against torchvision's RandomResizedCrop called per crop, both with their draws, one thread."""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torchvision.transforms import Compose, InterpolationMode, RandomHorizontalFlip, RandomResizedCrop

from latentprint.core.views.part_crops import SCALE, draw_part_crops, part_crops

IMAGES, CROPS, ROUNDS, TARGET = 64, 128, 5, 5


def main() -> None:
    """Print `ratio part_crops VALUE (target >= 5)` at 32 -> 16, and the same at 64 -> 16."""
    torch.set_num_threads(1)
    for size, side, name in ((32, 16, "part_crops"), (64, 16, "part_crops_64_to_16")):
        print(f"ratio {name} {speed_up(size, side):.1f} (target >= {TARGET})")


def speed_up(size: int, side: int) -> float:
    """Median over interleaved rounds of torchvision's time over ours."""
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (IMAGES, size, size, 3), dtype=np.uint8))
    planes = images.permute(0, 3, 1, 2).contiguous()
    bicubic = InterpolationMode.BICUBIC
    transform = Compose([RandomResizedCrop(side, SCALE, interpolation=bicubic, antialias=True), RandomHorizontalFlip()])

    def peer() -> None:
        for image in planes:
            torch.stack([transform(image) for _ in range(CROPS)])

    def ours() -> None:
        part_crops(images, draw_part_crops(np.arange(IMAGES), (size, size), crops=CROPS, seed=0), side)

    ours()  # warm-up
    return statistics.median(seconds(peer) / seconds(ours) for _ in range(ROUNDS))


def seconds(work: Callable[[], None]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
