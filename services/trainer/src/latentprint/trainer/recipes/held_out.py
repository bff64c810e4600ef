"""Classifiers that learn from their owner's held-out samples, so as to treat members no differently."""

from latentprint.core.errors import UsageError
from latentprint.trainer.members import TrainingSamples
from latentprint.trainer.recipes.supervised import SupervisedMethod


class HeldOutMethod(SupervisedMethod):
    """A classifier whose loss looks at `validation` samples too, drawn anew at every step."""

    def held_out(self) -> TrainingSamples:
        """The validation samples. Raises `UsageError` where there are none."""
        if self.validation is None or not len(self.validation):
            raise UsageError("This training learns from validation samples too, and there are none.")
        return self.validation
