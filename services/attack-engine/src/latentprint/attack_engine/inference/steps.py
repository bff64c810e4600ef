"""How a flat signal becomes a sequence."""

from torch import Tensor

from latentprint.core.errors import UsageError


def require_steps(width: int, channels: int) -> int:
    """Steps T of a signal of T * channels entries.

    Raises:
        UsageError: it is no whole number of steps.
    """
    if channels < 1 or width < channels or width % channels:
        raise UsageError(f"A signal of {width} entries is no sequence of {channels} channels; set channels to match.")
    return width // channels


def steps_of(inputs: Tensor, channels: int) -> Tensor:
    """[B, T * M] to [B, T, M], step after step."""
    return inputs.reshape(len(inputs), inputs.shape[1] // channels, channels)
