"""Drives a server with an unmodified tritonclient and prints what it got as JSON. Runs in an environment of its own."""

import asyncio
import hashlib
import json
import sys

import numpy as np
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from tritonclient.grpc import service_pb2
from tritonclient.utils import InferenceServerException


def pixels(count, side):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def inputs(library, array, datatype="UINT8"):
    tensor = library.InferInput("images", list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return [tensor]


def outputs(library, *names):
    return [library.InferRequestedOutput(name) for name in names]


def summary(result, name):
    array = result.as_numpy(name)
    return {
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        "digest": hashlib.sha256(array.tobytes()).hexdigest(),
        "first": array[0].ravel()[:4].tolist(),
    }


def refused(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except InferenceServerException as error:
        return {"status": error.status(), "message": error.message()}
    return None


def drive(url, model):
    client = triton.InferenceServerClient(url)
    metadata = client.get_model_metadata(model, as_json=True)
    asked = outputs(triton, "embedding", "feature_map")
    mixed = [(4, 32), (3, 16)]
    pending = [
        client.infer(model, inputs(triton, pixels(*each)), outputs=asked, request_id=str(each)) for each in mixed
    ]
    report = {
        "live": client.is_server_live(),
        "ready": client.is_server_ready(),
        "model_ready": client.is_model_ready(model),
        "other_ready": client.is_model_ready("other"),
        "server": client.get_server_metadata(as_json=True),
        "model": metadata,
        "answers": [{name: summary(one, name) for name in ("embedding", "feature_map")} for one in pending],
        "all_outputs": [one.name for one in client.infer(model, inputs(triton, pixels(1, 32))).get_response().outputs],
        "id": pending[0].get_response().id,
        "unknown_model": refused(client.infer, "other", inputs(triton, pixels(1, 32))),
        "unknown_output": refused(client.infer, model, inputs(triton, pixels(1, 32)), outputs=outputs(triton, "x")),
        "floats": refused(client.infer, model, inputs(triton, pixels(1, 32).astype(np.float32), "FP32")),
        "unknown_metadata": refused(client.get_model_metadata, "other"),
    }
    client.close()
    return report


async def drive_aio(url, model):
    async with triton_aio.InferenceServerClient(url) as client:
        asked = [client.infer(model, inputs(triton_aio, pixels(count, 32))) for count in range(1, 9)]
        answers = await asyncio.gather(*asked)
        return {
            "live": await client.is_server_live(),
            "model_ready": await client.is_model_ready(model),
            "counts": [len(answer.as_numpy("embedding")) for answer in answers],
            "whole": answers[-1].as_numpy("embedding").tolist(),
        }


def fields(descriptor, prefix=""):
    """Every field of a message and its nested ones: name to number, type and label."""
    found = {}
    for field in descriptor.fields:
        inner = field.message_type
        found[f"{prefix}{field.name}"] = [field.number, field.type, inner.name if inner else ""]
    for nested in descriptor.nested_types:
        found |= fields(nested, f"{prefix}{nested.name}.")
    return found


def main():
    url, model = sys.argv[1:]
    messages = service_pb2.DESCRIPTOR.message_types_by_name
    json.dump(
        {
            "sync": drive(url, model),
            "aio": asyncio.run(drive_aio(url, model)),
            "fields": {name: fields(descriptor) for name, descriptor in messages.items()},
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
