"""What the engine sees of a black box: a card, a way to ask, and counts of what was asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from leakscope.core.digests import digest_json
from leakscope.core.errors import EndpointError, unknown_name
from leakscope.core.samples import Samples, is_vector

Answers = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class EndpointCard:
    """An endpoint as it describes itself.

    Attributes:
        url: where it was found.
        model: name of the model that answers.
        outputs: public name to the shape of one sample's answer; -1 where it varies with the image.
        image_side: side of the images it was made for, pixels, where known.
        min_side, max_side: smallest and largest side it takes, pixels, where known.
        max_images: images in one request at most.
        preferred_images: images in one request at which it is fastest.
        max_message_bytes: bytes in one request or answer at most.
        weights_digest: SHA-256 of the weights, or "" where it is not published.
        architecture: name of the architecture, or "".
        precision: of the answers on the wire, "fp32" or "fp16".
        bytes_per_value: of a sample on the wire.
        idempotent: whether a repeated request id is answered again without counting as a new question.
        properties: everything else that it publishes.
        features: length of the vectors that it takes; None where it takes images.
    """

    url: str
    model: str
    outputs: Mapping[str, tuple[int, ...]]
    image_side: int | None = None
    min_side: int | None = None
    max_side: int | None = None
    max_images: int = 256
    preferred_images: int = 256
    max_message_bytes: int = 4 * 1024 * 1024
    weights_digest: str = ""
    architecture: str = ""
    precision: str = "fp32"
    bytes_per_value: int = 1
    idempotent: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    features: int | None = None

    @property
    def identity(self) -> str:
        """SHA-256 (hex) of what its answers depend on.

        The weights where their digest is published, so that the same victim on another port is the same endpoint;
        else its address, model name and versions.
        """
        known = {"weights": self.weights_digest, "architecture": self.architecture}
        address = {"url": self.url, "model": self.model, "versions": self.properties.get("versions", "")}
        precision = [self.precision, self.properties.get("precision", "")]
        return digest_json({"precision": precision, **(known if self.weights_digest else address)})

    def check_outputs(self, outputs: Sequence[str]) -> None:
        """Raise `UsageError` naming the known outputs and the nearest for one that is not public."""
        for name in outputs:
            if name not in self.outputs:
                raise unknown_name("output", name, self.outputs)

    def check_kind(self, sample_shape: tuple[int, ...]) -> None:
        """Raise `EndpointError` for an image (H, W, 3) where the endpoint takes vectors, or the reverse.

        Vectors (F,) must have the length that it takes; images of any size pass.
        """
        if self.features is None and is_vector(sample_shape):
            raise EndpointError(
                f"{self.url} takes images, not vectors of {sample_shape[0]} features: give a data set of images, or an "
                "endpoint that takes vectors."
            )
        if self.features is not None and sample_shape != (self.features,):
            given = f"vectors of {sample_shape[0]}" if is_vector(sample_shape) else "images"
            raise EndpointError(
                f"{self.url} takes vectors of {self.features} features, not {given}: give the data set, with the "
                "options, that its model was made for."
            )

    def check_images(self, shape: tuple[int, ...]) -> None:
        """Raise `EndpointError` for samples, [B, H, W, 3] or [B, F], that the endpoint does not take.

        Images must lie within the sides that it takes, vectors must have their length.
        """
        self.check_kind(shape[1:])
        if is_vector(shape[1:]):
            return
        low, high = self.min_side or 1, self.max_side or max(shape[1:3])
        if not low <= min(shape[1:3]) <= max(shape[1:3]) <= high:
            raise EndpointError(
                f"{self.url} takes images with sides of {low} to {high} pixels, not {shape[1]}x{shape[2]}: "
                "change the attack's part or image size."
            )


@dataclass(frozen=True)
class Counts:
    """Samples, not requests: sent, answered, taken from kept answers, sent again after a failure."""

    sent: int = 0
    answered: int = 0
    cached: int = 0
    retried: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.sent + other.sent,
            self.answered + other.answered,
            self.cached + other.cached,
            self.retried + other.retried,
        )


class Endpoint(Protocol):
    """A black box: `query(samples, outputs) -> arrays`, and a card."""

    @property
    def card(self) -> EndpointCard:
        """What it says of itself."""
        ...

    @property
    def counts(self) -> Counts:
        """Images sent, answered, cached and retried through this object."""
        ...

    def query(self, images: Samples, outputs: Sequence[str]) -> Answers:
        """Answers of `outputs` for uint8 images [B, H, W, 3] or float32 vectors [B, F]: float32 [B, ...] each.

        They are in the order of the samples.
        """
        ...

    def close(self) -> None:
        """Let go of connections and files."""
        ...

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Driver(Protocol):
    """One way of reaching a model: asks one request at a time and may be called from `in_flight` threads at once."""

    @property
    def card(self) -> EndpointCard:
        """What the endpoint says of itself."""
        ...

    @property
    def in_flight(self) -> int:
        """Threads that may ask at once."""
        ...

    @property
    def interruptions(self) -> int:
        """How often the connection was lost so far; whoever answers next may be another model."""
        ...

    def read_card(self) -> EndpointCard:
        """What the endpoint says of itself now. Raises `EndpointError` if it does not answer or has no such model."""
        ...

    def ask(self, images: Samples, outputs: Sequence[str], request_id: str, resend: Callable[[], None]) -> Answers:
        """Answer one request; `resend` is called before every further attempt and may raise to forbid it."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
