"""What workers tell one another at every step: summed gradients, and whether one of them was asked to stop."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from latentprint.trainer.workers import ALONE, Workers


def never() -> bool:
    """No request to stop."""
    return False


class Exchange:
    """One exchange a step, so that all workers take the same step and stop at the same step.

    Args:
        workers: this worker among those that train together.
        asked: whether this worker was asked to stop.
    """

    def __init__(self, workers: Workers = ALONE, asked: Callable[[], bool] = never) -> None:
        self.workers = workers
        self._asked = asked
        self._agreed = False

    @property
    def stop(self) -> bool:
        """Whether to stop now; the same on every worker after a step."""
        return self._asked() if self.workers.size == 1 else self._agreed

    def sum(self, tensors: Iterable[Tensor]) -> None:
        """Replace float32 tensors by their sums over the workers; a request to stop travels with them."""
        if self.workers.size == 1:
            return
        summands = list(tensors)
        vote = torch.full((1,), float(self._asked()), device=summands[0].device)
        self.workers.sum([*summands, vote])
        self._agreed = bool(vote > 0)
