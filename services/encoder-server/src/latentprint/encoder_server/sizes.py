"""Which sizes of samples the model takes, found out by asking it once per size; what it refuses is remembered too."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from latentprint.core.samples import blank_samples, is_vector
from latentprint.encoder_server.batcher import Batcher
from latentprint.encoder_server.refusals import ForwardFailed, Refusal, invalid

Shapes = Mapping[str, tuple[int, ...]]
Outcome = Shapes | Refusal

REMEMBERED = 256


class Sizes:
    """Shapes of a model's outputs by sample shape; a size that the model does not take is refused before it queues.

    The `REMEMBERED` taken sizes that were asked for last are kept, and as many refused ones: a flood of sizes that the
    model does not take makes it forget none that it takes.

    Args:
        batcher: answers the probe of a new size, in its turn.
        outputs: all public outputs.
        max_side: longest side of an image allowed, pixels.
    """

    def __init__(self, batcher: Batcher, outputs: Sequence[str], max_side: int) -> None:
        self._batcher = batcher
        self._outputs = tuple(outputs)
        self._max_side = max_side
        self._taken: OrderedDict[tuple[int, ...], Outcome] = OrderedDict()
        self._refused: OrderedDict[tuple[int, ...], Outcome] = OrderedDict()
        self._asking: dict[tuple[int, ...], asyncio.Task[Outcome]] = {}

    async def shapes(self, size: tuple[int, ...]) -> Shapes:
        """Shape of each output for one sample of this shape, (H, W, 3) or (F,), without the batch dimension.

        Raises:
            Refusal: INVALID_ARGUMENT for a size that is out of range or that the model does not take.
        """
        sides = size[:2]
        if not is_vector(size) and not 1 <= min(sides) <= max(sides) <= self._max_side:
            raise invalid(f"{_described(size)} are not taken: sides go from 1 to {self._max_side} pixels.")
        outcome = _recalled(self._taken, size) or _recalled(self._refused, size)
        if outcome is None:
            if size not in self._asking:
                self._asking[size] = asyncio.create_task(self._ask(size))
            outcome = await asyncio.shield(self._asking[size])
        if isinstance(outcome, Refusal):
            raise Refusal(outcome.code, outcome.message, outcome.detail, reason=outcome.reason)
        return outcome

    async def _ask(self, size: tuple[int, ...]) -> Outcome:
        """What the model says; never raises, since all who asked may have left."""
        try:
            answers = await self._batcher.probe(blank_samples(1, size), self._outputs)
        except ForwardFailed as failure:
            refused = invalid(f"{_described(size)} are not taken by this model, which says: {failure.said}")
            return _remember(self._refused, size, refused)
        except Refusal as refusal:
            return refusal
        finally:
            del self._asking[size]
        return _remember(self._taken, size, {name: array.shape[1:] for name, array in answers.items()})


def _recalled(known: OrderedDict[tuple[int, ...], Outcome], size: tuple[int, ...]) -> Outcome | None:
    if size not in known:
        return None
    known.move_to_end(size)
    return known[size]


def _remember(known: OrderedDict[tuple[int, ...], Outcome], size: tuple[int, ...], outcome: Outcome) -> Outcome:
    known[size] = outcome
    if len(known) > REMEMBERED:
        known.popitem(last=False)
    return outcome


def _described(size: tuple[int, ...]) -> str:
    return f"Vectors of {size[0]}" if is_vector(size) else f"Images of {size[0]}x{size[1]}"
