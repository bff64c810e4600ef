import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from latentprint.core.oip import METHODS, SERVICE, TensorError, from_request, from_response, to_request, to_response
from latentprint.core.oip import inference_pb2 as pb
from latentprint.core.oip.names import DATATYPE

TENSOR = {"name": 1, "datatype": 2, "shape": 3, "parameters": 4, "contents": 5}
# Field numbers of the public standard.
STANDARD = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": 1},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": 1},
    "ModelReadyRequest": {"name": 1, "version": 2},
    "ModelReadyResponse": {"ready": 1},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {"name": 1, "version": 2, "extensions": 3},
    "ModelMetadataRequest": {"name": 1, "version": 2},
    "ModelMetadataResponse": {
        "name": 1,
        "versions": 2,
        "platform": 3,
        "inputs": 4,
        "outputs": 5,
        "properties": 6,
        "latentprint_properties": 1000,
    },
    "InferParameter": {"bool_param": 1, "int64_param": 2, "string_param": 3, "double_param": 4, "uint64_param": 5},
    "ModelInferRequest": {
        "model_name": 1,
        "model_version": 2,
        "id": 3,
        "parameters": 4,
        "inputs": 5,
        "outputs": 6,
        "raw_input_contents": 7,
    },
    "ModelInferResponse": {
        "model_name": 1,
        "model_version": 2,
        "id": 3,
        "parameters": 4,
        "outputs": 5,
        "raw_output_contents": 6,
    },
}
arrays = st.sampled_from([np.uint8, np.float32, np.float16, np.float64]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
)
tensors = st.dictionaries(st.text(max_size=8), arrays, max_size=3)


def numbers(descriptor):
    return {field.name: field.number for field in descriptor.fields}


@pytest.mark.parametrize("name", STANDARD)
def test_field_numbers_are_the_standards(name):
    assert numbers(pb.DESCRIPTOR.message_types_by_name[name]) == STANDARD[name]


def test_nested_field_numbers_are_the_standards():
    assert numbers(pb.ModelInferRequest.InferInputTensor.DESCRIPTOR) == TENSOR
    assert numbers(pb.ModelInferResponse.InferOutputTensor.DESCRIPTOR) == TENSOR
    assert numbers(pb.ModelInferRequest.InferRequestedOutputTensor.DESCRIPTOR) == {"name": 1, "parameters": 2}
    assert numbers(pb.ModelMetadataResponse.TensorMetadata.DESCRIPTOR) == {"name": 1, "datatype": 2, "shape": 3}
    assert numbers(pb.InferTensorContents.DESCRIPTOR) == {
        "bool_contents": 1,
        "int_contents": 2,
        "int64_contents": 3,
        "uint_contents": 4,
        "uint64_contents": 5,
        "fp32_contents": 6,
        "fp64_contents": 7,
        "bytes_contents": 8,
    }


def test_calls_come_from_the_descriptor():
    assert list(METHODS) == ["ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer"]
    infer = METHODS["ModelInfer"]
    assert (infer.request, infer.response) == (pb.ModelInferRequest, pb.ModelInferResponse)
    assert infer.path() == f"/{SERVICE}/ModelInfer" == "/inference.GRPCInferenceService/ModelInfer"
    assert infer.path("org.other.Service") == "/org.other.Service/ModelInfer"


@settings(suppress_health_check=[HealthCheck.too_slow])  # of a busy machine
@given(tensors)
def test_a_request_carries_arrays_there_unchanged(arrays):
    request = pb.ModelInferRequest.FromString(to_request("m", arrays, ["a"], request_id="7").SerializeToString())
    assert (request.model_name, request.id, [output.name for output in request.outputs]) == ("m", "7", ["a"])
    same(from_request(request), arrays)


@settings(suppress_health_check=[HealthCheck.too_slow])  # of a busy machine
@given(tensors)
def test_a_response_carries_arrays_back_unchanged(arrays):
    response = to_response("m", arrays, request_id="7", version="1")
    response = pb.ModelInferResponse.FromString(response.SerializeToString())
    assert (response.model_name, response.id, response.model_version) == ("m", "7", "1")
    same(from_response(response), arrays)


def same(found, expected):
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)


def test_order_of_memory_and_of_bytes_does_not_matter():
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for other in (array.transpose(2, 0, 1), array[:, ::-1], array.astype(">f4")):
        np.testing.assert_array_equal(from_request(to_request("m", {"x": other}, []))["x"], other)


def test_half_precision_is_asked_for_by_parameter():
    request = to_request("m", {}, ["a", "b"], datatype="FP16")
    assert [output.parameters[DATATYPE].string_param for output in request.outputs] == ["FP16", "FP16"]
    assert not to_request("m", {}, ["a"]).outputs[0].parameters


def test_other_dtypes_do_not_travel():
    with pytest.raises(TensorError, match="int64 do not travel: use one of UINT8, FP32, FP16, FP64"):
        to_request("m", {"x": np.zeros(3, np.int64)}, [])


def spoil(change):
    request = to_request("m", {"x": np.zeros((2, 3), np.uint8), "y": np.zeros(4, np.float32)}, [])
    change(request)
    return request


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r.inputs[0].contents.uint_contents.append(1), "came both raw and in typed contents"),
        (lambda r: r.raw_input_contents.pop(), "2 input tensors came with 1 raw entries"),
        (lambda r: r.raw_input_contents.append(b""), "2 input tensors came with 3 raw entries"),
        (
            lambda r: r.raw_input_contents.__setitem__(0, b"12345"),
            r"'x' of UINT8 \[2, 3\] has 5 bytes; its shape means 6 bytes",
        ),
        (lambda r: r.raw_input_contents.__setitem__(1, b"1234567"), "has 7 bytes; its shape means 16 bytes"),
        (lambda r: r.inputs[0].shape.__setitem__(0, -2), "no valid shape"),
        (lambda r: r.inputs[0].shape.__setitem__(0, 2**31), "has 6 bytes"),
        (lambda r: r.inputs[0].shape.__setitem__(0, 2**62), "no valid shape"),
        (lambda r: r.inputs[0].shape.extend([1] * 100), "no valid shape"),
        (lambda r: r.inputs[0].shape.extend([0, 2**62]), "no valid shape"),
        (lambda r: setattr(r.inputs[0], "datatype", "BYTES"), "datatype 'BYTES': known are UINT8, FP32, FP16"),
        (lambda r: setattr(r.inputs[0], "name", "y"), "'y' came twice"),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason(change, words):
    with pytest.raises(TensorError, match=words):
        from_request(spoil(change))


def test_a_wrong_response_is_refused_with_its_reason():
    response = to_response("m", {"x": np.zeros(3, np.float32)})
    response.raw_output_contents[0] = b"123"
    with pytest.raises(TensorError, match="output tensor 'x'"):
        from_response(response)
