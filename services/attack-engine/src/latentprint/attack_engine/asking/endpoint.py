"""What the engine sees of a black box: a card, a way to ask, and counts of what was asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from latentprint.core.digests import digest_json
from latentprint.core.errors import EndpointError, UsageError, unknown_name
from latentprint.core.oip import names
from latentprint.core.outputs import OUTPUTS
from latentprint.core.samples import Samples, Size, described, height_width, is_vector, size_of, written

Answers = dict[str, NDArray[np.float32]]
_DESCRIBING = ("versions", "platform", names.ARCHITECTURE, names.MODEL_ARGS, names.MEAN, names.STD, names.PRECISION)


def no_output(name: str, outputs: Mapping[str, tuple[int, ...]], url: str) -> UsageError:
    """The error for an output that the endpoint at `url` has not: its own, and how to say that it is one of them."""
    if name not in OUTPUTS:
        return unknown_name("output", name, outputs)
    known = ", ".join(f"{theirs} {list(shape)}" for theirs, shape in outputs.items()) or "none"
    alike = [theirs for theirs, shape in outputs.items() if len(shape) == 1 and theirs not in OUTPUTS]
    return UsageError(
        f"{url} has no output named {name!r}. Known: {known}. Where it is there under another name, say "
        f"--output-name {name}={alike[0] if len(alike) == 1 else 'NAME'}."
    )


@dataclass(frozen=True)
class EndpointCard:
    """An endpoint as it describes itself.

    Attributes:
        url: where it was found.
        model: name of the model that answers.
        outputs: public name to the shape of one sample's answer; -1 where it varies with the image.
        image_side: of the images it was made for, pixels, where known: the side of square ones, or (height, width).
        min_side, max_side: smallest and largest it takes, where known, likewise; a side is of both directions.
        max_images: images in one request at most.
        preferred_images: images in one request at which it is fastest.
        max_message_bytes: bytes in one request or answer at most.
        weights_digest: SHA-256 of the weights, or "" where it is not published.
        serving_digest: SHA-256 of all that its answers depend on, or "" where it is not published.
        architecture: name of the architecture, or "".
        precision: of the answers on the wire, "fp32" or "fp16".
        bytes_per_value: of a sample on the wire.
        idempotent: whether a repeated request id is answered again without counting as a new question.
        properties: everything else that it publishes.
        features: length of the vectors that it takes; None where it takes images.
        batch: samples that every request holds, no more and no fewer; None where any number up to `max_images` may.
        output_names: public name to the endpoint's own, where that is another.
    """

    url: str
    model: str
    outputs: Mapping[str, tuple[int, ...]]
    image_side: Size | None = None
    min_side: Size | None = None
    max_side: Size | None = None
    max_images: int = 256
    preferred_images: int = 256
    max_message_bytes: int = 4 * 1024 * 1024
    weights_digest: str = ""
    serving_digest: str = ""
    architecture: str = ""
    precision: str = "fp32"
    bytes_per_value: int = 1
    idempotent: bool = False
    properties: Mapping[str, str] = field(default_factory=dict)
    features: int | None = None
    batch: int | None = None
    output_names: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """SHA-256 (hex) of what its answers depend on: of what is kept, nothing is shared with another identity.

        The serving digest where one is published, so that the same serving on another port is the same endpoint. Else
        its address and version and what it says of itself: the same weights at two addresses may be served otherwise.
        """
        described = {name: self.properties.get(name, "") for name in _DESCRIBING}
        here = {"url": self.url, "model": self.model, "weights": self.weights_digest, **described}
        serving = {"digest": self.serving_digest} if self.serving_digest else here
        return digest_json({"wire": self.precision, "outputs": dict(self.output_names), "serving": serving})

    def has_weights_of(self, other: "EndpointCard") -> bool:
        """Whether both publish the same weights, however they serve them."""
        return bool(self.weights_digest) and self.weights_digest == other.weights_digest

    def check_outputs(self, outputs: Sequence[str]) -> None:
        """Raise `UsageError` naming the known outputs, and what to do, for one that is not public."""
        for name in outputs:
            if name not in self.outputs:
                raise no_output(name, self.outputs, self.url)

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

    def check_sample(self, shape: tuple[int, ...], remedy: str = "change the attack's part or image size") -> None:
        """Raise `EndpointError` for a sample, (H, W, 3) or (F,), that the endpoint does not take.

        Images must lie within the sides that it takes, vectors must have their length.

        Args:
            shape: of the sample.
            remedy: what to do about an image's size; "{side}" in it stands for the nearest size that is taken as a
                command takes it, "{value}" as an attack's option does.
        """
        self.check_kind(shape)
        if is_vector(shape):
            return
        least, most = self.min_side or 1, self.max_side or max(shape[:2])
        bounds = list(zip(shape, height_width(least), height_width(most), strict=False))
        if all(low <= side <= high for side, low, high in bounds):
            return
        sides = f"of {described(least)} pixels alone" if least == most else f"with sides of {least} to {most} pixels"
        nearest = size_of(*(min(max(side, low), high) for side, low, high in bounds))
        value = nearest if isinstance(nearest, int) else "[{},{}]".format(*nearest)
        raise EndpointError(
            f"{self.url} takes images {sides}, not {shape[0]}x{shape[1]}: "
            f"{remedy.format(side=written(nearest), value=value)}."
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
