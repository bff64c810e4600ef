"""Messages as other implementations of the protocol write them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latentprint.core.oip import TensorError, from_request, from_response, properties_of, to_response
from latentprint.core.oip import inference_pb2 as pb

TYPED = {
    "BOOL": ("bool_contents", np.bool_),
    "INT8": ("int_contents", np.int8),
    "INT16": ("int_contents", np.int16),
    "INT32": ("int_contents", np.int32),
    "INT64": ("int64_contents", np.int64),
    "UINT8": ("uint_contents", np.uint8),
    "UINT16": ("uint_contents", np.uint16),
    "UINT32": ("uint_contents", np.uint32),
    "UINT64": ("uint64_contents", np.uint64),
    "FP32": ("fp32_contents", np.float32),
    "FP64": ("fp64_contents", np.float64),
}
SHAPES = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
named = st.sampled_from(sorted(TYPED)).flatmap(
    lambda name: st.tuples(st.just(name), hnp.arrays(TYPED[name][1], SHAPES))
)


def typed(array, datatype, name="x"):
    request = pb.ModelInferRequest()
    tensor = request.inputs.add(name=name, datatype=datatype, shape=array.shape)
    getattr(tensor.contents, TYPED[datatype][0]).extend(array.ravel().tolist())
    return pb.ModelInferRequest.FromString(request.SerializeToString())


@given(named)
def test_typed_contents_are_read_in_their_own_dtype(drawn):
    datatype, array = drawn
    found = from_request(typed(array, datatype))["x"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@given(named)
def test_raw_contents_are_read_in_every_dtype_beside_empty_typed_ones(drawn):
    datatype, array = drawn
    response = pb.ModelInferResponse()
    response.outputs.add(name="x", datatype=datatype, shape=array.shape).contents.SetInParent()
    response.raw_output_contents.append(array.astype(array.dtype.newbyteorder("<")).tobytes())
    found = from_response(pb.ModelInferResponse.FromString(response.SerializeToString()))["x"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


def test_brain_floats_are_read_as_the_float32_they_stand_for():
    values = torch.randn(3, 4).to(torch.bfloat16)
    response = pb.ModelInferResponse()
    response.outputs.add(name="x", datatype="BF16", shape=values.shape)
    response.raw_output_contents.append(values.view(torch.int16).numpy().tobytes())
    found = from_response(response)["x"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values.float().numpy())


def beside(**other):
    """A response of an embedding and of an output that nobody asked for."""
    response = to_response("m", {"embedding": np.ones((2, 3), np.float32)})
    response.outputs.add(**other)
    response.raw_output_contents.append(b"\x02\x00\x00\x00no")
    return response


@pytest.mark.parametrize(
    "other",
    [
        {"name": "label", "datatype": "BYTES", "shape": [1]},
        {"name": "label", "datatype": "FP8", "shape": [-5]},
        {"name": "label", "datatype": "FP32", "shape": [7]},
    ],
)
def test_an_output_that_is_not_wanted_is_not_decoded(other):
    assert list(from_response(beside(**other), ["embedding"])) == ["embedding"]
    with pytest.raises(TensorError, match="'label'"):
        from_response(beside(**other))


def test_a_response_may_be_raw_in_part():
    response = to_response("m", {"embedding": np.ones((2, 3), np.float32)})
    label = response.outputs.add(name="label", datatype="INT64", shape=[2])
    label.contents.int64_contents.extend([4, 5])
    response.MergeFrom(to_response("m", {"map": np.zeros((2, 1), np.float16)}))
    found = from_response(pb.ModelInferResponse.FromString(response.SerializeToString()))
    assert {name: array.tolist() for name, array in found.items()} == {
        "embedding": [[1.0] * 3] * 2,
        "label": [4, 5],
        "map": [[0.0]] * 2,
    }
    response.raw_output_contents.append(b"")
    response.raw_output_contents.append(b"")
    with pytest.raises(TensorError, match="3 output tensors came with 4 raw entries"):
        from_response(response)


def tensor(datatype, shape, **contents):
    request = pb.ModelInferRequest()
    request.inputs.add(name="x", datatype=datatype, shape=shape, contents=pb.InferTensorContents(**contents))
    return request


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (tensor("UINT8", [2], uint_contents=[1]), r"'x' of UINT8 \[2\] has 1 elements.*means 2"),
        (tensor("UINT8", [2**40], uint_contents=[1]), "has 1 elements"),
        (tensor("UINT8", [2**62], uint_contents=[1]), "no valid shape"),
        (tensor("UINT8", [2]), "has 0 elements"),
        (tensor("UINT8", [2], uint_contents=[1, 256]), "a value beyond 0 to 255"),
        (tensor("INT8", [1], int_contents=[-129]), "a value beyond -128 to 127"),
        (tensor("UINT8", [1], int_contents=[1]), "has its elements in int_contents; its datatype's are uint_contents"),
        (tensor("FP32", [1], fp32_contents=[1], fp64_contents=[1]), "fp32_contents and fp64_contents"),
        (tensor("FP16", [1], fp32_contents=[1]), "the protocol has no typed ones"),
        (tensor("BF16", [1]), "the protocol has no typed ones"),
        (tensor("BYTES", [1], bytes_contents=[b"a"]), "datatype 'BYTES'"),
    ],
)
def test_wrong_typed_contents_are_refused_with_their_reason(request_, words):
    with pytest.raises(TensorError, match=words):
        from_request(request_)


def test_properties_are_read_whichever_copy_of_the_protocol_a_server_keeps_to():
    metadata = pb.ModelMetadataResponse()
    metadata.properties["text"] = b"32"
    metadata.properties["parameter"] = pb.InferParameter(string_param="x" * 200).SerializeToString()  # no UTF-8
    metadata.properties["number"] = pb.InferParameter(int64_param=7).SerializeToString()
    metadata.properties["flag"] = pb.InferParameter(bool_param=True).SerializeToString()
    metadata.properties["empty"] = b""
    metadata.properties["odd"] = b"\x1a\xff"
    metadata.latentprint_properties["image_size"] = "64"
    assert properties_of(pb.ModelMetadataResponse.FromString(metadata.SerializeToString())) == {
        "text": "32",
        "parameter": "x" * 200,
        "number": "7",
        "flag": "True",
        "empty": "",
        "odd": "\x1a\ufffd",
        "image_size": "64",
    }
