"""What a server publishes of a model beside its tensors, whichever copy of the protocol it keeps to."""

from google.protobuf.message import DecodeError

from latentprint.core.oip import inference_pb2 as pb

_PARAMETER_TAGS = frozenset({0x08, 0x10, 0x1A})  # the first byte of an InferParameter; no text begins with these


def properties_of(metadata: pb.ModelMetadataResponse) -> dict[str, str]:
    """A model's properties as text, be they latentprint's own, text (KServe) or parameters (MLServer).

    Bytes that are neither are kept with their undecodable parts replaced.
    """
    theirs = {key: _text(value) for key, value in metadata.properties.items()}
    return theirs | dict(metadata.latentprint_properties)


def _text(value: bytes) -> str:
    if value[:1] and value[0] in _PARAMETER_TAGS:
        try:
            parameter = pb.InferParameter.FromString(value)
        except DecodeError:
            return value.decode("utf-8", "replace")
        chosen = parameter.WhichOneof("parameter_choice")
        return str(getattr(parameter, chosen)) if chosen else ""
    return value.decode("utf-8", "replace")
