"""Which image sizes the model takes, found out by asking it once per size."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import numpy as np

from leakscope.encoder_server.batcher import Batcher
from leakscope.encoder_server.refusals import Refusal, invalid

Shapes = Mapping[str, tuple[int, ...]]
_REMEMBERED = 256


class Sizes:
    """Shapes of a model's outputs by image size; a size that the model does not take is refused before it queues.

    Args:
        batcher: answers the probe image of a new size, in its turn.
        outputs: all public outputs.
        max_side: longest side allowed, pixels.
    """

    def __init__(self, batcher: Batcher, outputs: Sequence[str], max_side: int) -> None:
        self._batcher = batcher
        self._outputs = tuple(outputs)
        self._max_side = max_side
        self._known: OrderedDict[tuple[int, int], Shapes] = OrderedDict()
        self._asking: dict[tuple[int, int], asyncio.Task[Shapes]] = {}

    async def shapes(self, height: int, width: int) -> Shapes:
        """Shape of each output for one image of this size, without the batch dimension.

        Raises:
            Refusal: INVALID_ARGUMENT for a size that is out of range or that the model does not take.
        """
        size = height, width
        if size in self._known:
            self._known.move_to_end(size)
            return self._known[size]
        if not 1 <= min(size) <= max(size) <= self._max_side:
            raise invalid(f"Images of {height}x{width} are not taken: sides go from 1 to {self._max_side} pixels.")
        if size not in self._asking:
            self._asking[size] = asyncio.create_task(self._ask(size))
        return await asyncio.shield(self._asking[size])

    async def _ask(self, size: tuple[int, int]) -> Shapes:
        probe = np.zeros((1, *size, 3), dtype=np.uint8)
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

    def _refusal(self, size: tuple[int, int], refusal: Refusal) -> Refusal:
        if refusal.code.name != "INTERNAL":
            return refusal
        height, width = size
        return invalid(f"Images of {height}x{width} are not taken by this model. {refusal.message}")
