"""Serves the encoder with KServe's own server: images of one size, two outputs as arrays and a text one as a list."""

import sys

from kserve import InferOutput, InferResponse, Model, ModelServer
from random_features import CHANNELS, encode


class RandomFeatures(Model):
    def __init__(self, name):
        super().__init__(name)
        self.ready = True

    def get_input_types(self):
        return [{"name": "image", "datatype": "FP32", "shape": [-1, 3, 32, 32]}]

    def get_output_types(self):
        return [
            {"name": "label", "datatype": "BYTES", "shape": [-1]},
            {"name": "embedding", "datatype": "FP32", "shape": [-1, CHANNELS]},
            {"name": "feature_map", "datatype": "FP64", "shape": [-1, 16, CHANNELS]},
        ]

    def predict(self, payload, headers=None, response_headers=None):
        images = payload.inputs[0].as_numpy()
        if images.shape[1:] != (3, 32, 32):
            raise ValueError(f"this model takes [-1, 3, 32, 32], not {list(images.shape)}")
        feature_map, embedding = encode(images)
        outputs = [
            InferOutput("label", [len(images)], "BYTES", data=["textured"] * len(images)),
            InferOutput("embedding", list(embedding.shape), "FP32", data=embedding),
            InferOutput("feature_map", list(feature_map.shape), "FP64", data=feature_map.astype("float64")),
        ]
        return InferResponse(payload.id, self.name, outputs)


if __name__ == "__main__":
    http_port, grpc_port = map(int, sys.argv[1:])
    server = ModelServer(http_port=http_port, grpc_port=grpc_port, workers=1, enable_docs_url=False)
    server.start([RandomFeatures("encoder")])
