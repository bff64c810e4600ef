import subprocess
import sys

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from latentprint.core.oip import METHODS
from latentprint.core.oip import inference_pb2 as pb

STANDARD = "inference.GRPCInferenceService"


@pytest.mark.parametrize("service", ["", STANDARD, "victim"])
async def test_health_says_serving(serve, service):
    running = await serve()
    answer = await health_pb2_grpc.HealthStub(running.channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_of_an_unknown_service_is_not_found(serve, refusal):
    running = await serve()
    check = health_pb2_grpc.HealthStub(running.channel).Check(health_pb2.HealthCheckRequest(service="other"))
    assert (await refusal(check)).code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("name", [STANDARD, "org.example.inference.v2.Service"])
def test_a_client_can_be_made_from_reflection_alone(background, images, name):
    served = background(listening={"service": name})
    channel = grpc.insecure_channel(f"127.0.0.1:{served.running.server.port}")
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) == {
        name,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    service = DescriptorPool(database).FindServiceByName(name)
    assert [method.name for method in service.methods] == list(METHODS)
    method = service.methods_by_name["ModelInfer"]
    request = GetMessageClass(method.input_type)(model_name="victim")
    request.inputs.add(name="images", datatype="UINT8", shape=[2, 32, 32, 3])
    request.raw_input_contents.append(images(2).tobytes())
    call = channel.unary_unary(
        f"/{name}/ModelInfer",
        request_serializer=lambda message: message.SerializeToString(),
        response_deserializer=GetMessageClass(method.output_type).FromString,
    )
    assert list(call(request, timeout=10).outputs[0].shape) == [2, 48]
    channel.close()


def test_our_protocol_registers_nothing_under_the_standards_names():
    with pytest.raises(KeyError):
        pb.DESCRIPTOR.pool.FindMessageTypeByName("inference.ModelInferRequest")


def test_the_service_shares_a_process_with_a_client_that_registers_the_standards_names():
    code = """
from google.protobuf import descriptor_pb2, descriptor_pool
import latentprint.core.oip
theirs = descriptor_pb2.FileDescriptorProto(name="grpc_service.proto", package="inference", syntax="proto3")
theirs.message_type.add(name="ModelInferRequest")
descriptor_pool.Default().Add(theirs)
from latentprint.encoder_server.reflection import standard_pool
standard_pool("inference.GRPCInferenceService").FindMessageTypeByName("inference.ModelInferRequest").fields_by_name["id"]
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
