"""Whether an endpoint takes what signals ask, known from its card, and what its full batches cost beside that."""

from collections.abc import Sequence

from latentprint.attack_engine.attacks.signal import Signal, asked_of
from latentprint.attack_engine.endpoints.base import EndpointCard
from latentprint.attack_engine.extraction.shards import Shard


def check_sizes(card: EndpointCard, signals: Sequence[Signal], sample_shape: tuple[int, ...]) -> None:
    """Whether an endpoint takes what signals ask about samples of this shape.

    Raises:
        UsageError: samples that a signal can do nothing with.
        EndpointError: images for an endpoint that takes vectors or the reverse, or a size that it does not take.
    """
    card.check_kind(sample_shape)
    for signal in signals:
        for asked in asked_of(signal, sample_shape):
            option = f"--attack-option {asked.option}={{side}}" if asked.option else "--side {side}"
            card.check_sample(asked.shape, f"ask {signal.name} for that with {option}")


def filling(signal: Signal, shape: tuple[int, ...], shards: Sequence[Shard], together: int, full: int) -> int:
    """Images that fill up the last request of everything that a signal asks in one go to `full` ones."""
    lengths = [len(shard.ids) for shard in shards]
    batches = [min(together, length - start) for length in lengths for start in range(0, length, together)]
    return sum(-(samples * asked.count) % full for samples in batches for asked in asked_of(signal, shape))
