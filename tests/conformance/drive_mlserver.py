"""Drives a server with MLServer's own client code, typed and raw, and prints what it got as JSON."""

import json
import sys

import grpc
import numpy as np
from mlserver.codecs import NumpyCodec
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.converters import (
    ModelInferRequestConverter,
    ModelInferResponseConverter,
    ModelMetadataResponseConverter,
)
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
from mlserver.types import InferenceRequest, RequestOutput


def asked(model, images, use_raw):
    """A request for the embeddings of uint8 images, as MLServer's own converters write it."""
    inputs = [NumpyCodec.encode_input("images", images)]
    request = InferenceRequest(inputs=inputs, outputs=[RequestOutput(name="embedding")])
    return ModelInferRequestConverter.from_types(request, model_name=model, use_raw=use_raw)


def main():
    url, model = sys.argv[1:]
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    with grpc.insecure_channel(url) as channel:
        stub = GRPCInferenceServiceStub(channel)
        metadata = ModelMetadataResponseConverter.to_types(stub.ModelMetadata(pb.ModelMetadataRequest(name=model)))
        report = {
            "live": stub.ServerLive(pb.ServerLiveRequest()).live,
            "ready": stub.ModelReady(pb.ModelReadyRequest(name=model)).ready,
            "server": stub.ServerMetadata(pb.ServerMetadataRequest()).name,
            "name": metadata.name,
            "inputs": [[one.name, one.datatype, one.shape] for one in metadata.inputs],
            "outputs": [one.name for one in metadata.outputs],
        }
        for kind, use_raw in (("typed", False), ("raw", True)):
            answer = ModelInferResponseConverter.to_types(stub.ModelInfer(asked(model, images, use_raw)))
            report[kind] = NumpyCodec.decode_output(answer.outputs[0]).tolist()
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main()
