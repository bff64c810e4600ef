"""Schedules over a training, as pure functions of how far it is."""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


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


def step_decay(step: int, every: int, warmup: int, decay: float) -> float:
    """Factor on the learning rate at `step`: `decay` times itself after every `every` steps; linear warm-up before.

    Args:
        step: steps done, from 0.
        every: steps between two decays.
        warmup: steps of the linear warm-up; the first step has factor 1 / warmup.
        decay: factor of one decay.
    """
    return min(1.0, (step + 1) / max(1, warmup)) * decay ** (step // every)


def cosine_rise(start: float, end: float, progress: float) -> float:
    """Half a cosine from `start` at progress 0 to `end` at progress 1: the momentum of a teacher (DINO, BYOL)."""
    return end - (end - start) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class Schedule(Protocol):
    """How a learning rate changes over a training."""

    def factor(self, step: int, total: int, steps_per_epoch: int) -> float:
        """Factor on the learning rate at `step` of `total`, of which each epoch has `steps_per_epoch`."""
        ...


@dataclass(frozen=True)
class WarmupCosine:
    """`warmup_cosine` with a warm-up of this fraction of all steps."""

    warmup: float

    def factor(self, step: int, total: int, steps_per_epoch: int) -> float:
        """See `Schedule.factor`."""
        del steps_per_epoch
        return warmup_cosine(step, total, round(self.warmup * total))


@dataclass(frozen=True)
class StepDecay:
    """`step_decay` every few epochs, with a warm-up of a fraction of all steps.

    Source: Li et al., SeqMIA (CCS 2024), who have no warm-up.

    Attributes:
        warmup: fraction of all steps.
        decay: factor of one decay.
        every: epochs between two decays.
    """

    warmup: float
    decay: float = 0.9
    every: int = 5

    def factor(self, step: int, total: int, steps_per_epoch: int) -> float:
        """See `Schedule.factor`."""
        return step_decay(step, self.every * steps_per_epoch, round(self.warmup * total), self.decay)


@runtime_checkable
class Scheduled(Protocol):
    """A recipe that names its schedule; any other has `WarmupCosine`."""

    @property
    def rates(self) -> Schedule:
        """Of the learning rate."""
        ...
