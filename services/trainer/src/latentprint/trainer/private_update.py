"""DP-SGD's step: each record's gradient clipped by itself, their sum blurred by noise."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from opacus.optimizers import DPOptimizer
from torch import Generator, Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from latentprint.core.errors import UsageError
from latentprint.trainer.exchange import Exchange
from latentprint.trainer.privacy import Budget
from latentprint.trainer.recipes.base import Method
from latentprint.trainer.recipes.per_record import PerRecordMethod
from latentprint.trainer.workers import ALONE


def require_per_record(method: Method, recipe: str) -> PerRecordMethod:
    """`method` where its loss is a mean of losses of single records.

    Raises:
        UsageError: it is not, or a batch norm makes a record's answer depend on the others.
    """
    if not isinstance(method, PerRecordMethod) or type(method).loss is not PerRecordMethod.loss:
        raise UsageError(f"defence 'dp-sgd': the loss of {recipe!r} is no mean of losses of single records.")
    norms = [name for name, module in method.named_modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if norms:
        raise UsageError(f"defence 'dp-sgd': {recipe!r} mixes records in batch norm ({norms[0]}): set norm to group.")
    return method


def record_gradients(
    method: PerRecordMethod, trained: Mapping[str, nn.Parameter], prepared: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], Tensor]:
    """The gradient of each record's loss by itself.

    Args:
        method: gives the losses.
        trained: parameters by name.
        prepared: what `method.prepare` gave for at least one record, [b, ...] each.

    Returns:
        Gradients [b, *shape of the parameter] by name, and the losses [b].
    """

    def loss(parameters: dict[str, Tensor], record: dict[str, Tensor]) -> Tensor:
        single = {name: value.unsqueeze(0) for name, value in record.items()}
        answer: Tensor = functional_call(method, parameters, args=(), kwargs=single)
        return answer.squeeze(0)

    constants = {name: parameter.detach() for name, parameter in trained.items()}
    each = vmap(grad_and_value(loss), in_dims=(None, 0))
    return cast(tuple[dict[str, Tensor], Tensor], each(constants, dict(prepared)))


class PrivateUpdate:
    """DP-SGD (Abadi et al., CCS 2016, https://arxiv.org/abs/1607.00133) with Opacus's optimiser; see `Update`.

    Args:
        method: its loss is a mean of losses of single records.
        exchange: between its workers, who draw the same noise.
        autocast: dtype of the forward pass, None for full precision.
        budget: clipping norm, noise and expected batch size.
        records_at_once: records whose gradients are held together.
    """

    def __init__(
        self,
        method: PerRecordMethod,
        exchange: Exchange,
        autocast: torch.dtype | None,
        budget: Budget,
        records_at_once: int,
    ) -> None:
        self.optimiser = method.optimiser()
        self.exchange = exchange
        self._method = method
        self._autocast = autocast
        self._records_at_once = records_at_once
        self._private: Any = DPOptimizer(
            self.optimiser,
            noise_multiplier=budget.noise_multiplier,
            max_grad_norm=budget.max_grad_norm,
            expected_batch_size=budget.expected_batch_size,
        )
        ours = {id(p) for group in self.optimiser.param_groups for p in group["params"]}
        self._trained = {name: p for name, p in method.named_parameters() if id(p) in ours}

    def __call__(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """See `Update`; the batch may be empty, the step then is noise alone.

        Of a batch with fewer records than workers every worker computes all, and the first's gradients count.
        """
        workers = self._method.workers
        repeated = len(images) < workers.size  # some would have no row, which not every layer takes
        if repeated:
            self._method.workers = ALONE
        try:
            losses = self._method.workers.joint(self._clip(images, labels, generator, progress), len(images))
        finally:
            self._method.workers = workers
        if repeated and not workers.first:
            for parameter in self._trained.values():
                cast(Any, parameter).summed_grad.zero_()
        self.exchange.sum(cast(Any, p).summed_grad for p in self._trained.values())
        self._private.generator = generator
        self._private.add_noise()
        self._private.scale_grad()
        self.optimiser.step()
        self._private.zero_grad(set_to_none=True)
        return losses.sum() / max(1, len(images))

    def _clip(self, images: Tensor, labels: Tensor, generator: Generator, progress: float) -> Tensor:
        """Leave the sum of this worker's clipped gradients in `summed_grad`; returns its records' losses [b]."""
        with torch.autocast(images.device.type, dtype=self._autocast, enabled=self._autocast is not None):
            prepared = self._method.prepare(images, labels, generator, progress) if len(images) else {}
            rows = self._method.workers.rows(len(images))
            count = rows.stop - rows.start
            losses = [images.new_zeros(0, dtype=torch.float32)]
            self._accumulate({name: p.new_zeros(0, *p.shape) for name, p in self._trained.items()})
            for start in range(0, count, self._records_at_once):
                chunk = {name: value[start : start + self._records_at_once] for name, value in prepared.items()}
                gradients, values = record_gradients(self._method, self._trained, chunk)
                self._accumulate(gradients)
                losses.append(values)
        return torch.cat(losses)

    def _accumulate(self, gradients: Mapping[str, Tensor]) -> None:
        for name, parameter in self._trained.items():
            cast(Any, parameter).grad_sample = gradients[name]
        self._private.clip_and_accumulate()
