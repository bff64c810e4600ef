"""Schedules over a training, as pure functions of how far it is."""

import math


def warmup_cosine(step: int, total: int, warmup: int, floor: float = 0.0) -> float:
    """Factor on the learning rate at `step` of `total`: linear warm-up, then half a cosine down to `floor`.

    Source: Loshchilov and Hutter, SGDR (ICLR 2017), without restarts.

    Args:
        step: steps done, 0 .. total - 1.
        total: steps of the whole schedule.
        warmup: steps of the linear warm-up; the first step has factor 1 / warmup.
        floor: factor at the end.
    """
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def cosine_rise(start: float, end: float, progress: float) -> float:
    """Half a cosine from `start` at progress 0 to `end` at progress 1: the momentum of a teacher (DINO, BYOL)."""
    return end - (end - start) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
