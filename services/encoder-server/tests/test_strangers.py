"""What a caller decides of what the server keeps, says and does: each bounded."""

import asyncio
import contextlib

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2_grpc

from latentprint.core.oip import METHODS, SERVICE
from latentprint.core.oip import inference_pb2 as pb
from latentprint.encoder_server.calls import MAX_STREAMS, CallGuard
from latentprint.encoder_server.metrics import MAX_SIZES, Metrics
from latentprint.encoder_server.refusals import MESSAGE_LENGTH, not_found, overloaded
from latentprint.encoder_server.sizes import REMEMBERED

INFER = f"/{SERVICE}/ModelInfer"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECT = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
INVALID = grpc.StatusCode.INVALID_ARGUMENT
SERVING = health_pb2.HealthCheckResponse.SERVING
JUNK = b"\xff\xff\xff"


def sent(running, path, content=JUNK, **options):
    return running.channel.unary_unary(path)(content, timeout=10, **options)


@pytest.mark.parametrize("path", [*(f"/{SERVICE}/{name}" for name in METHODS), CHECK])
async def test_bytes_that_are_no_message_are_refused_in_our_words(serve, refusal, path, caplog):
    running = await serve()
    error = await refusal(sent(running, path))
    assert (error.code(), error.details()) == (INVALID, "These 3 bytes are no message that this method takes.")
    assert running.count("latentprint_requests_total", method=path.rpartition("/")[2], code="INVALID_ARGUMENT") == 1
    assert caplog.records == []


@pytest.mark.parametrize("path", [WATCH, REFLECT])
async def test_so_are_those_of_a_stream(serve, path, caplog):
    running = await serve()
    call = running.channel.stream_stream(path)(iter([JUNK]), timeout=10)
    with pytest.raises(grpc.aio.AioRpcError, match="3 bytes are no message") as raised:
        await call.read()
    assert raised.value.code() is INVALID
    assert caplog.records == []


async def read_on(stream):
    while True:
        await stream.read()


async def test_a_call_without_a_message_is_told_so(serve, refusal):
    running = await serve()
    error = await refusal(running.channel.stream_unary(INFER)(iter([]), timeout=10))
    assert (error.code(), error.details()) == (INVALID, "The call ended without a message: send one.")


async def test_a_message_that_does_not_come_is_not_waited_for(refusal):
    metrics = Metrics(lambda: 0)
    server = grpc.aio.server(interceptors=[CallGuard(metrics, [INFER], message_seconds=0.2)])
    handler = grpc.unary_unary_rpc_method_handler(lambda *_: None, request_deserializer=bytes)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"ModelInfer": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        error = await refusal(channel.stream_unary(INFER)(timeout=10))
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "did not come within 0.2 seconds" in error.details()
    await server.stop(0)


async def test_methods_that_there_are_none_of_share_one_label(serve, refusal, tmp_path):
    key_file = tmp_path / "keys"
    key_file.write_text("key\n")
    open_, locked = await serve(), await serve(listening={"api_key_file": key_file})
    for running, code in ((open_, "UNIMPLEMENTED"), (locked, "UNAUTHENTICATED")):
        for number in range(50):
            assert (await refusal(sent(running, f"/{number}/{number}"))).code().name == code
        assert running.count("latentprint_requests_total", method="other", code=code) == 50
        labels = {
            s.labels["method"]
            for m in running.server.metrics.registry.collect()
            for s in m.samples
            if s.labels.get("method") and s.value and not s.name.endswith("_created")
        }
        assert labels == {"other"}


def test_sizes_that_are_counted_apart_are_bounded():
    metrics = Metrics(lambda: 0)
    for side in range(1, 1000):
        metrics.answered((1, side, side, 3), ("embedding",))
        metrics.replayed((2, side, 1, 3), ("embedding",))
    for name in ("latentprint_answered_images", "latentprint_replayed_images"):
        samples = next(m for m in metrics.registry.collect() if m.name == name).samples
        counted = {s.labels["size"]: s.value for s in samples if s.name.endswith("_total")}
        assert len(counted) <= MAX_SIZES + 1
        assert sum(counted.values()) == 999 * (1 if "answered" in name else 2)


async def test_a_size_that_the_model_refuses_is_asked_of_it_once(serve, victim, images, refusal, caplog):
    forwards = []
    victim.encoder.model.patch_embed.register_forward_pre_hook(lambda *_: forwards.append(1))
    running = await serve(victim)
    asked = len(forwards)
    for _ in range(20):
        error = await refusal(running.infer(images(1, 9)))
        assert error.code() is INVALID
        assert error.details().startswith("Images of 9x9 are not taken by this model, which says: Input height")
    assert len(forwards) == asked + 1
    assert caplog.records == []


async def test_refused_sizes_that_are_remembered_are_bounded_and_push_out_no_taken_one(serve, victim):
    running = await serve(victim)
    sizes = running.server._service._sizes
    for side in range(REMEMBERED + 50):
        with pytest.raises(Exception, match="not taken by this model"):
            await sizes.shapes((9, side + 1, 3))
    assert len(sizes._refused) == REMEMBERED
    assert list(sizes._taken) == [(32, 32, 3)]
    assert not sizes._asking


async def test_a_device_out_of_memory_is_no_property_of_a_size(serve, victim, images, refusal):
    failing = [False]

    def fail(*_):
        if failing[0]:
            raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes.")

    victim.encoder.model.patch_embed.register_forward_pre_hook(fail)
    running = await serve(victim)
    failing[0] = True
    error = await refusal(running.infer(images(1, 16)))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "send fewer or smaller images" in error.details()
    failing[0] = False
    assert len((await running.infer(images(1, 16)))["embedding"]) == 1


async def test_watched_services_that_are_not_here_are_kept_under_one_name(serve):
    running = await serve()
    stub = health_pb2_grpc.HealthStub(running.channel)
    watches = [stub.Watch(health_pb2.HealthCheckRequest(service=f"{n}" * 1000)) for n in range(20)]
    for watch in watches:
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    servicer = running.server._health._servicer
    assert len(servicer._server_watchers) == 1
    for watch in watches:
        watch.cancel()
    while servicer._server_watchers:
        await asyncio.sleep(0.01)


async def test_open_streams_are_bounded_and_close_when_the_server_stops(serve):
    running = await serve(listening={"grace_seconds": 30.0})
    stub = health_pb2_grpc.HealthStub(running.channel)
    watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(MAX_STREAMS)]
    for watch in watches:
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    reflect = reflection_pb2_grpc.ServerReflectionStub(running.channel).ServerReflectionInfo()
    with pytest.raises(grpc.aio.AioRpcError, match="256 streams are open already") as raised:
        await reflect.read()
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    details = Status.FromString(dict(raised.value.trailing_metadata())["grpc-status-details-bin"]).details
    assert details[0].Unpack(RetryInfo())
    watches.pop().cancel()
    await asyncio.wait_for(running.server.drain(), 10)
    with pytest.raises(grpc.aio.AioRpcError, match="stopping"):
        await read_on(watches[0])


HOSTILE = ["\x1b[31mred", "a\nb\r\n", "\u202etxt.exe\u2066", "n" * 10_000, "\x00\x9b", "\U0001f600" * 10_000]


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_a_caller_names_is_quoted_short_and_written_out(serve, images, refusal, name):
    running = await serve()
    request = pb.ModelInferRequest(model_name=name, model_version=name)
    wrong_output, wrong_input, wrong_type, wrong_parameter = (pb.ModelInferRequest() for _ in range(4))
    for each in (wrong_output, wrong_input, wrong_type, wrong_parameter):
        each.inputs.add(name="images", datatype="UINT8", shape=[1, 8, 8, 3])
        each.raw_input_contents.append(bytes(192))
    wrong_output.outputs.add(name=name)
    wrong_input.inputs[0].name = name
    wrong_type.inputs[0].datatype = name
    wrong_parameter.outputs.add(name="embedding").parameters["datatype"].string_param = name
    for each in (request, wrong_output, wrong_input, wrong_type, wrong_parameter):
        error = await refusal(running.call("ModelInfer", each))
        assert error.code() in (INVALID, grpc.StatusCode.NOT_FOUND)
        assert error.details().isprintable()
        assert len(error.details()) <= MESSAGE_LENGTH
    check = health_pb2_grpc.HealthStub(running.channel).Check(health_pb2.HealthCheckRequest(service=name))
    error = await refusal(check)
    assert error.code() is grpc.StatusCode.NOT_FOUND
    assert error.details().isprintable()


def test_a_refusal_says_the_same_in_its_details():
    refusal = overloaded("\x1b" * 1000, 1)
    assert refusal.message.isprintable()
    assert Status.FromString(refusal.trailing_metadata()[0][1]).message == refusal.message
    assert str(not_found("\n")) == "\\n"


async def test_a_method_whose_name_is_not_utf8_does_not_end_the_service(serve):
    running = await serve()
    for _ in range(3):
        with pytest.raises(grpc.aio.AioRpcError):
            await sent(running, b"/\xff\xfe/x")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{running.server.port}") as channel:
            assert await status_within(health_pb2_grpc.HealthStub(channel), seconds=10) == SERVING


async def status_within(health, seconds):
    """What the server says of itself, asked again where it ends under the question, as a call under way is lost."""
    async with asyncio.timeout(seconds):
        while True:
            with contextlib.suppress(grpc.aio.AioRpcError):
                return (await health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=2)).status
            await asyncio.sleep(0.05)


async def test_bytes_that_are_no_http2_leave_the_server_as_it_was(serve, images, caplog):
    running = await serve()
    for junk in (
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01" * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 300,
    ):
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", running.server.port)
            writer.write(junk)
            writer.close()
    assert len((await running.infer(images(2)))["embedding"]) == 2
    assert caplog.records == []


async def test_a_message_that_is_too_large_once_unpacked_is_refused(serve, refusal):
    running = await serve(limits={"max_message_bytes": 100_000})
    error = await refusal(sent(running, INFER, bytes(10_000_000), compression=grpc.Compression.Gzip))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
