"""Drives a server with KServe's own client, typed and raw, and prints what it got as JSON."""

import asyncio
import json
import sys

import grpc
import numpy as np
from kserve import InferenceGRPCClient, InferInput, InferRequest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub


def asked(model, images, binary):
    tensor = InferInput("images", list(images.shape), "UINT8")
    tensor.set_data_from_numpy(images, binary_data=binary)
    return InferRequest(model_name=model, infer_inputs=[tensor])


async def drive(url, model):
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    async with InferenceGRPCClient(url) as client:
        report = {"live": await client.is_server_live(), "ready": await client.is_model_ready(model)}
        for kind, binary in (("typed", False), ("raw", True)):
            answer = await client.infer(asked(model, images, binary))
            found = {one.name: one.as_numpy().tolist() for one in answer.outputs}
            report[kind] = found["embedding"]
    return report


def main():
    url, model = sys.argv[1:]
    with grpc.insecure_channel(url) as channel:
        metadata = GRPCInferenceServiceStub(channel).ModelMetadata(pb.ModelMetadataRequest(name=model))
    described = {
        "name": metadata.name,
        "inputs": [[one.name, one.datatype, list(one.shape)] for one in metadata.inputs],
        "outputs": [one.name for one in metadata.outputs],
    }
    json.dump(asyncio.run(drive(url, model)) | described, sys.stdout)


if __name__ == "__main__":
    main()
