"""What is asked of an endpoint for a sample, and how the answers become a fixed-size array."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.endpoint import Endpoint, no_output
from latentprint.core.datasets import Ids, Samples
from latentprint.core.errors import UsageError
from latentprint.core.samples import is_vector
from latentprint.core.views.augmentations import Augmentation

Values = NDArray[np.float32]


@dataclass(frozen=True)
class SignalBatch:
    """Signals of B samples.

    Attributes:
        values: float32 [B, K], query by query in the order of asking, so that a smaller budget's signal is in it.
        diagnostics: name to float32 [B, L]; kept for figures, never given to an inference model.
    """

    values: Values
    diagnostics: Mapping[str, Values] = field(default_factory=dict)


@dataclass(frozen=True)
class QueryShape:
    """Queries of one sample that go to the endpoint together.

    Attributes:
        shape: of what is asked, (H, W, 3) or (F,).
        count: how many a sample.
        option: the attack's option that sets the shape; "" where the data set does.
    """

    shape: tuple[int, ...]
    count: int
    option: str = ""


@runtime_checkable
class Resizing(Protocol):
    """A signal that asks about samples of other sizes than the data set's, in more than one go."""

    def shapes_asked(self, sample_shape: tuple[int, ...]) -> tuple[QueryShape, ...]:
        """What is asked for a sample of this shape, in the order of asking."""
        ...


class Signal(Protocol):
    """A frozen, picklable description of a signal. It knows nothing of membership."""

    @property
    def name(self) -> str:
        """Name of the attack that it belongs to."""
        ...

    @property
    def outputs(self) -> tuple[str, ...]:
        """Outputs that the endpoint must offer."""
        ...

    def queries_per_sample(self, sample_shape: tuple[int, ...]) -> int:
        """Queries for one image (H, W, 3) or vector (F,). Raises `UsageError` where such samples have no signal."""
        ...

    def extract(self, images: Samples, sample_ids: Ids, endpoint: Endpoint) -> SignalBatch:
        """Signals of `images` (uint8 [B, H, W, 3], or float32 vectors [B, F]), each of its own sample alone."""
        ...

    def features(self, values: Values, queries: int | None = None) -> Values | None:
        """What an inference model reads of extracted values float32 [S, K]: float32 [S, R, F], R independent draws.

        With `queries`, the features that so many images a sample would have given; None where the signal cannot do
        with so few, or would not use so many.
        """
        ...


Outputs = Mapping[str, tuple[int, ...]]  # public name to the shape of one sample's answer, -1 where it varies


@runtime_checkable
class ShapedSignal(Signal, Protocol):
    """A signal that not every shape of the outputs can give, or that reads different shapes differently."""

    def for_outputs(self, outputs: Outputs, url: str) -> Signal:
        """The signal with what it left open decided by the outputs of the endpoint at `url`.

        Raises:
            UsageError: these outputs cannot give it.
        """
        ...

    @property
    def choice(self) -> str:
        """What was decided where it is not what the paper does, for the report; else ""."""
        ...


@runtime_checkable
class WrappingSignal(Signal, Protocol):
    """A signal that asks another one about something else than the sample itself."""

    @property
    def of(self) -> Signal:
        """The other one."""
        ...


def kinds(signal: Signal) -> tuple[type, ...]:
    """The classes that a signal is computed with: its own, and that of the one which it wraps."""
    return (type(signal), *kinds(signal.of)) if isinstance(signal, WrappingSignal) else (type(signal),)


@runtime_checkable
class InformedSignal(Signal, Protocol):
    """A signal that may know the victim's own training augmentation."""

    def informed(self, augmentation: Augmentation) -> Signal:
        """The signal with that knowledge, where it was asked for and is missing."""
        ...


def suited(signal: Signal, outputs: Outputs, url: str) -> Signal:
    """The signal as it is asked of the endpoint at `url`, which offers `outputs`.

    Raises:
        UsageError: an output that it does not offer, or shapes that cannot give the signal.
    """
    chosen = signal.for_outputs(outputs, url) if isinstance(signal, ShapedSignal) else signal
    for name in chosen.outputs:
        if name not in outputs:
            raise no_output(name, outputs, url)
    return chosen


def asked_of(signal: Signal, sample_shape: tuple[int, ...]) -> tuple[QueryShape, ...]:
    """What a signal asks for one sample; one that does not say asks for samples of the data set's own shape."""
    if isinstance(signal, Resizing):
        return signal.shapes_asked(sample_shape)
    return (QueryShape(sample_shape, signal.queries_per_sample(sample_shape)),)


def require_images(name: str, sample_shape: tuple[int, ...]) -> None:
    """Raise `UsageError` unless samples of `sample_shape` are images, of which the attack `name` makes views."""
    if is_vector(sample_shape):
        raise UsageError(
            f"The attack {name!r} asks about views of images; this data set holds vectors of {sample_shape[0]} numbers."
        )


def whole(values: Values, queries: int | None) -> Values | None:
    """Features of a signal that is one draw and cannot do with fewer queries."""
    return values[:, None] if queries is None else None
