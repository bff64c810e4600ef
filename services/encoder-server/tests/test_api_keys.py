import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from latentprint.core.errors import DataError
from latentprint.core.oip import inference_pb2 as pb
from latentprint.encoder_server.keys import read_keys


@pytest.fixture
def key_file(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# of the red team\nfirst-key\n\n  second-key  \n")
    return path


@pytest.mark.parametrize("key", ["first-key", "second-key"])
async def test_a_known_key_is_let_in(serve, key_file, images, key):
    running = await serve(listening={"api_key_file": key_file})
    running.metadata = [("authorization", f"Bearer {key}")]
    assert len((await running.infer(images(2)))["embedding"]) == 2


@pytest.mark.parametrize(
    "value", [None, "Bearer wrong", "Bearer ", "first-key", "Basic first-key", "Bearer # of the red team"]
)
async def test_any_other_is_not(serve, key_file, images, refusal, value):
    running = await serve(listening={"api_key_file": key_file})
    running.metadata = [] if value is None else [("authorization", value)]
    error = await refusal(running.infer(images(2)))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert "key" in error.details()
    error = await refusal(running.call("ServerLive", pb.ServerLiveRequest()))
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert running.count("latentprint_requests_total", code="UNAUTHENTICATED") == 2
    assert running.count("latentprint_answered_images_total") == 0


async def test_health_needs_no_key_and_reflection_does(serve, key_file):
    running = await serve(listening={"api_key_file": key_file})
    health = health_pb2_grpc.HealthStub(running.channel)
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
    reflection = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in reflection.ServerReflectionInfo(asked):
            pass
    assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_key_file_that_is_missing_or_empty_says_so(tmp_path):
    with pytest.raises(DataError, match="No such API key file"):
        read_keys(tmp_path / "none")
    (tmp_path / "empty").write_text("# nothing\n\n")
    with pytest.raises(DataError, match="holds no key"):
        read_keys(tmp_path / "empty")
