"""A model's metadata, read as an endpoint's card and as what its input tensor wants to be given."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.endpoint import EndpointCard
from latentprint.core.errors import EndpointError, UsageError
from latentprint.core.oip import names, properties_of
from latentprint.core.samples import Samples, Size, parse_size, size_of

_REPLAYING = frozenset({"latentprint"})  # names of servers that answer a repeated request id from memory
_DTYPES: Mapping[str, type[np.generic]] = {
    "UINT8": np.uint8,
    "FP32": np.float32,
    "FP16": np.float16,
    "FP64": np.float64,
}
_FLOATING = ("FP32", "FP16", "FP64")


@dataclass(frozen=True)
class InputTensor:
    """The one input of a model. Images for floating inputs are given in [0, 1]; the model normalises.

    Attributes:
        name: the tensor's.
        datatype: the protocol's name of its dtype.
        channels_first: whether images are [B, 3, H, W].
        features: length of the vectors that it takes; None for images.
        side: of the images that its shape allows alone, pixels, or (height, width); None for any.
        batch: the one number of samples in a request that its shape allows; None for any.
    """

    name: str
    datatype: str
    channels_first: bool = False
    features: int | None = None
    side: Size | None = None
    batch: int | None = None

    def tensor(self, images: Samples) -> NDArray[Any]:
        """Samples as the model wants them, in its dtype: images as [B, H, W, 3] or [B, 3, H, W], vectors as [B, F]."""
        if self.features is not None:
            return np.ascontiguousarray(images, dtype=_DTYPES[self.datatype])
        array: NDArray[Any] = images.transpose(0, 3, 1, 2) if self.channels_first else images
        if self.datatype == "UINT8":
            return np.ascontiguousarray(array)
        return np.ascontiguousarray((array.astype(np.float32) / 255).astype(_DTYPES[self.datatype]))


def read_input(url: str, metadata: Any) -> InputTensor:
    """What to send. Raises `EndpointError` for a model that takes anything but one batch of images or of vectors."""
    if len(metadata.inputs) != 1:
        found = ", ".join(tensor.name for tensor in metadata.inputs) or "none"
        raise EndpointError(
            f"{url}: {metadata.name!r} must take one tensor of images or of vectors, but its inputs are: {found}."
        )
    tensor = metadata.inputs[0]
    shape = list(tensor.shape)
    batch = int(shape[0]) if shape and shape[0] > 0 else None
    if tensor.datatype in _FLOATING and len(shape) == 2 and shape[1] > 0:
        return InputTensor(tensor.name, tensor.datatype, features=int(shape[1]), batch=batch)
    if tensor.datatype not in _DTYPES or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise EndpointError(
            f"{url}: {metadata.name!r} takes {tensor.datatype} {shape}; latentprint sends RGB images as "
            f"{', '.join(_DTYPES)} of [B, H, W, 3] or [B, 3, H, W], and vectors as {', '.join(_FLOATING)} of [B, F]."
        )
    channels_first = shape[3] != 3
    sides = [int(side) for side in (shape[2:] if channels_first else shape[1:3]) if side > 0]
    side = size_of(sides[0], sides[-1]) if sides else None  # where one of two is open, images are square
    return InputTensor(tensor.name, tensor.datatype, channels_first, side=side, batch=batch)


def read_card(
    url: str, server: Any, metadata: Any, tensor: InputTensor, precision: str, output_names: Mapping[str, str]
) -> EndpointCard:
    """The card of a model; limits that are not published take the protocol's usual defaults.

    Raises:
        EndpointError: `output_names` names an output that the model lacks, or a published limit is no number.
    """
    theirs = {tensor.name: tuple(int(size) for size in tensor.shape[1:]) for tensor in metadata.outputs}
    for name, their in output_names.items():
        if their not in theirs:
            raise EndpointError(f"{url} has no output {their!r} to take as {name!r}: it has {', '.join(theirs)}.")
    renamed = {their: name for name, their in output_names.items()}
    properties = properties_of(metadata) | {"platform": metadata.platform, "versions": ",".join(metadata.versions)}

    def number(key: str) -> int | None:
        try:
            return int(properties[key]) if properties.get(key) else None
        except ValueError:
            raise EndpointError(f"{url} publishes {key} as {properties[key]!r}, which is no number.") from None

    def size(key: str) -> Size | None:
        try:
            return parse_size(properties[key], key) if properties.get(key) else None
        except UsageError as error:
            raise EndpointError(f"{url}: {error}") from None

    return EndpointCard(
        url=url,
        model=metadata.name,
        outputs={renamed.get(name, name): shape for name, shape in theirs.items()},
        image_side=tensor.side or size(names.IMAGE_SIZE),
        min_side=tensor.side or size(names.MIN_SIDE),
        max_side=tensor.side or size(names.MAX_SIDE),
        max_images=tensor.batch or number(names.MAX_IMAGES) or EndpointCard.max_images,
        preferred_images=tensor.batch or number(names.PREFERRED_IMAGES) or EndpointCard.preferred_images,
        max_message_bytes=number(names.MAX_MESSAGE_BYTES) or EndpointCard.max_message_bytes,
        weights_digest=properties.get(names.WEIGHTS_DIGEST, ""),
        serving_digest=properties.get(names.SERVING_DIGEST, ""),
        architecture=properties.get(names.ARCHITECTURE, ""),
        precision=precision,
        bytes_per_value=np.dtype(_DTYPES[tensor.datatype]).itemsize,
        idempotent=server.name in _REPLAYING,
        properties=properties,
        output_names=dict(output_names),
        features=tensor.features,
        batch=tensor.batch,
    )
