"""Methods whose loss is a mean of losses of one record each: what DP-SGD asks for."""

from abc import abstractmethod

from torch import Generator, Tensor

from latentprint.trainer.recipes.base import Method


class PerRecordMethod(Method):
    """A method in two steps: what a step takes as constants, then a loss of each record by itself.

    `forward(**prepared)` gives float [b], the losses of b records; with no batch norm in the method, row i depends on
    row i of what `prepare` gave and on the parameters alone. Views, masks, a teacher's answers and remembered keys are
    constants. A subclass that overrides `loss` no longer promises this.
    """

    @abstractmethod
    def prepare(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> dict[str, Tensor]:
        """The keyword arguments of `forward` for this worker's rows of the joint batch, each [b, ...], no gradients.

        Args:
            images: as for `Method.loss`.
            labels: as for `Method.loss`.
            generator: as for `Method.loss`.
            progress: as for `Method.loss`.
        """

    def loss(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """See `Method.loss`: the mean over the joint batch."""
        losses = self(**self.prepare(images, labels, generator, progress))
        return self.workers.joint(losses, len(images)).mean()
