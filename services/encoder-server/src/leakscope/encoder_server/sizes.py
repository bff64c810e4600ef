"""Which sizes of samples the model takes, found out by asking it once per size."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from leakscope.core.samples import blank_samples, is_vector
from leakscope.encoder_server.batcher import Batcher
from leakscope.encoder_server.refusals import Refusal, invalid

Shapes = Mapping[str, tuple[int, ...]]
_REMEMBERED = 256


class Sizes:
    """Shapes of a model's outputs by sample shape; a size that the model does not take is refused before it queues.

    Args:
        batcher: answers the probe of a new size, in its turn.
        outputs: all public outputs.
        max_side: longest side of an image allowed, pixels.
    """

    def __init__(self, batcher: Batcher, outputs: Sequence[str], max_side: int) -> None:
        self._batcher = batcher
        self._outputs = tuple(outputs)
        self._max_side = max_side
        self._known: OrderedDict[tuple[int, ...], Shapes] = OrderedDict()
        self._asking: dict[tuple[int, ...], asyncio.Task[Shapes]] = {}

    async def shapes(self, size: tuple[int, ...]) -> Shapes:
        """Shape of each output for one sample of this shape, (H, W, 3) or (F,), without the batch dimension.

        Raises:
            Refusal: INVALID_ARGUMENT for a size that is out of range or that the model does not take.
        """
        if size in self._known:
            self._known.move_to_end(size)
            return self._known[size]
        sides = size[:2]
        if not is_vector(size) and not 1 <= min(sides) <= max(sides) <= self._max_side:
            raise invalid(f"{_described(size)} are not taken: sides go from 1 to {self._max_side} pixels.")
        if size not in self._asking:
            self._asking[size] = asyncio.create_task(self._ask(size))
        return await asyncio.shield(self._asking[size])

    async def _ask(self, size: tuple[int, ...]) -> Shapes:
        probe = blank_samples(1, size)
        try:
            answers = await self._batcher.answer(probe, self._outputs, float("inf"))
        except Refusal as refusal:
            raise self._refusal(size, refusal) from refusal
        finally:
            del self._asking[size]
        self._known[size] = {name: array.shape[1:] for name, array in answers.items()}
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return self._known[size]

    def _refusal(self, size: tuple[int, ...], refusal: Refusal) -> Refusal:
        if refusal.code.name != "INTERNAL":
            return refusal
        return invalid(f"{_described(size)} are not taken by this model. {refusal.message}")


def _described(size: tuple[int, ...]) -> str:
    return f"Vectors of {size[0]}" if is_vector(size) else f"Images of {size[0]}x{size[1]}"
