"""The encoder as an MLServer runtime: one image a request, doubles, and a text output beside the two of numbers."""

from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.types import InferenceResponse
from random_features import encode


class RandomFeatures(MLModel):
    async def predict(self, payload):
        images = NumpyCodec.decode_input(payload.inputs[0])
        if images.shape[1:] != (3, 32, 32) or len(images) != 1:
            raise ValueError(f"this model takes [1, 3, 32, 32], not {list(images.shape)}")
        feature_map, embedding = encode(images)
        outputs = [
            StringCodec.encode_output("label", ["textured"] * len(images)),
            NumpyCodec.encode_output("map", feature_map.astype("float64")),
            NumpyCodec.encode_output("pooled", embedding.astype("float64")),
        ]
        return InferenceResponse(model_name=self.name, id=payload.id, outputs=outputs)
