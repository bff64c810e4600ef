"""What pixels are normalised with, as users and servers write it: one number a channel."""

from collections.abc import Sequence

from latentprint.core.errors import UsageError

Channels = tuple[float, float, float]


def parse_mean(text: str, where: str) -> Channels:
    """Means of red, green and blue, of images scaled to [0, 1], from "R,G,B" or one number for all.

    Raises:
        UsageError: anything else, naming `where` it came from.
    """
    numbers = _numbers(text, where)
    if not all(0 <= number <= 1 for number in numbers):
        raise UsageError(f"{where} {text!r}: a mean of pixels scaled to [0, 1] is between 0 and 1; divide by 255.")
    return numbers


def parse_std(text: str, where: str) -> Channels:
    """Deviations of red, green and blue, of images scaled to [0, 1], from "R,G,B" or one number for all.

    Raises:
        UsageError: anything else, naming `where` it came from.
    """
    numbers = _numbers(text, where)
    if not all(0 < number <= 1 for number in numbers):
        raise UsageError(
            f"{where} {text!r}: a deviation of pixels scaled to [0, 1] is above 0 and at most 1; divide by 255."
        )
    return numbers


def format_channels(numbers: Sequence[float]) -> str:
    """What `parse_mean` and `parse_std` read."""
    return ",".join(map(repr, map(float, numbers)))


def _numbers(text: str, where: str) -> Channels:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3:
        raise UsageError(f"{where} {text!r}: give one number a channel, as 0.485,0.456,0.406, or one for all.")
    return numbers[0], numbers[1], numbers[2]
