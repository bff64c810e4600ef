"""What a client may know of the model before it asks: tensors, limits, digest."""

import json
from collections.abc import Mapping
from math import prod

from latentprint.core.channels import format_channels
from latentprint.core.oip import inference_pb2 as pb
from latentprint.core.oip import names
from latentprint.core.outputs import FEATURE_MAP
from latentprint.core.samples import is_vector, sample_bytes, size_of, written
from latentprint.core.serving_digest import serving_digest
from latentprint.encoder_server.settings import Limits, Settings
from latentprint.encoder_server.victims import Victim

PLATFORM = "latentprint_pytorch"
VERSION = "1"
_FLOAT_BYTES = 4
_ENVELOPE_BYTES = 64 * 1024  # names, shapes and parameters of a message


def model_metadata(
    victim: Victim, shapes: Mapping[str, tuple[int, ...]], settings: Settings
) -> pb.ModelMetadataResponse:
    """The ModelMetadata answer.

    Args:
        victim: what is served.
        shapes: of each output for one sample of the victim's own shape.
        settings: limits to publish.
    """
    response = pb.ModelMetadataResponse(name=victim.name, versions=[VERSION], platform=PLATFORM)
    sample = victim.sample_shape if victim.fixed_size else (-1, -1, 3)
    name = names.VECTORS if is_vector(sample) else names.IMAGES
    response.inputs.add(name=name, datatype="FP32" if is_vector(sample) else "UINT8", shape=[-1, *sample])
    for name in victim.encoder.outputs:
        shape = shapes[name]
        variable = name == FEATURE_MAP and not victim.fixed_size
        response.outputs.add(name=name, datatype="FP32", shape=[-1, *((-1, *shape[1:]) if variable else shape)])
    response.latentprint_properties.update(_properties(victim, shapes, settings))
    return response


def _properties(victim: Victim, shapes: Mapping[str, tuple[int, ...]], settings: Settings) -> dict[str, str]:
    limits = settings.limits
    return {
        names.ARCHITECTURE: victim.architecture,
        names.MAX_IMAGES: str(limits.max_images_per_request),
        names.MAX_MESSAGE_BYTES: str(limits.max_message_bytes),
        names.MODEL_ARGS: json.dumps(dict(victim.model_args)),
        names.OUTPUTS: ",".join(victim.encoder.outputs),
        names.PRECISION: settings.compute.precision,
        names.PREFERRED_IMAGES: str(_preferred(victim, shapes, settings)),
        names.SERVING_DIGEST: serving_digest(
            weights_digest=victim.weights_digest,
            architecture=victim.architecture,
            model_args=victim.model_args,
            sample_shape=victim.sample_shape,
            channels=victim.encoder.channels,
            options=settings.changing_answers,
        ),
        names.WEIGHTS_DIGEST: victim.weights_digest,
        **_sizes(victim, limits),
        **({names.OBFUSCATION: str(settings.obfuscation)} if settings.obfuscation.steps else {}),
    }


def _sizes(victim: Victim, limits: Limits) -> dict[str, str]:
    """The length of the vectors, or the sides and the normalisation of the images, that the victim takes."""
    shape = victim.sample_shape
    if is_vector(shape):
        return {names.FEATURES: str(shape[0])}
    size = written(size_of(*shape[:2]))
    smallest, largest = (size, size) if victim.fixed_size else ("1", str(limits.max_side))
    mean, std = victim.encoder.channels
    return {
        names.IMAGE_SIZE: size,
        names.MIN_SIDE: smallest,
        names.MAX_SIDE: largest,
        names.MEAN: format_channels(mean),
        names.STD: format_channels(std),
    }


def _preferred(victim: Victim, shapes: Mapping[str, tuple[int, ...]], settings: Settings) -> int:
    """A full batch of the victim's own shape, or what fits a message both ways with every output asked for."""
    limits = settings.limits
    answer = _FLOAT_BYTES * sum(prod(shape) for shape in shapes.values())
    fits = (limits.max_message_bytes - _ENVELOPE_BYTES) // max(answer, sample_bytes(victim.sample_shape))
    return max(1, min(settings.batching.samples(victim.sample_shape), limits.max_images_per_request, fits))
