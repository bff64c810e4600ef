"""TLS: whoever trusts the certificate is answered, a renewed one is taken up, and probes have a port of their own."""

import shutil
import subprocess

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from latentprint.core.errors import DataError, UsageError
from latentprint.core.oip import METHODS
from latentprint.encoder_server.settings import Listening
from latentprint.encoder_server.tls import Certificate

NAMES = ("certificate.pem", "key.pem")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two certificates of localhost, each with its key in a folder of its own."""
    assert shutil.which("openssl"), "openssl makes the certificates"
    folders = [tmp_path_factory.mktemp("pair") for _ in range(2)]
    for folder in folders:
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        make += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        make += ["-out", folder / NAMES[0], "-keyout", folder / NAMES[1]]
        subprocess.run(make, check=True, capture_output=True)
    return folders


@pytest.fixture
def served_pair(pairs, tmp_path):
    """The first pair where a server reads it."""
    for name in NAMES:
        shutil.copy(pairs[0] / name, tmp_path)
    return tmp_path


async def answered(running, trusted):
    """Whether somebody who trusts this certificate is answered."""
    credentials = grpc.ssl_channel_credentials((trusted / NAMES[0]).read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{running.server.port}", credentials) as channel:
        call = METHODS["ServerReady"]
        try:
            return (await call.call(channel)(call.request(), timeout=5)).ready
        except grpc.aio.AioRpcError as error:
            return error.code().name


async def test_who_trusts_the_certificate_is_answered_and_a_renewed_one_is_taken_up(serve, pairs, served_pair):
    certificate, key = (served_pair / name for name in NAMES)
    running = await serve(listening={"host": "localhost", "tls_cert": certificate, "tls_key": key, "health_port": 0})
    assert await answered(running, pairs[0]) is True
    assert await answered(running, pairs[1]) == "UNAVAILABLE"
    with pytest.raises(grpc.aio.AioRpcError):  # the fixture's channel speaks no TLS
        await running.call("ServerReady", METHODS["ServerReady"].request(), timeout=5)
    shutil.copy(pairs[1] / NAMES[0], certificate)  # half of a renewal
    assert await answered(running, pairs[0]) is True
    shutil.copy(pairs[1] / NAMES[1], key)
    assert await answered(running, pairs[1]) is True
    async with grpc.aio.insecure_channel(f"localhost:{running.server.health_port}") as channel:
        probe = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service="inference.GRPCInferenceService")
        assert (await probe.Check(request, timeout=5)).status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as refused:  # nothing else is answered without TLS
            await METHODS["ServerReady"].call(channel)(METHODS["ServerReady"].request(), timeout=5)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_what_is_no_pair_says_so(pairs, tmp_path):
    with pytest.raises(DataError, match=r"--tls-cert .*no such file"):
        Certificate(tmp_path / NAMES[0], pairs[0] / NAMES[1])
    with pytest.raises(DataError, match="are not a certificate and its key"):
        Certificate(pairs[0] / NAMES[0], pairs[1] / NAMES[1])
    with pytest.raises(UsageError, match="belong together"):
        Listening(tls_cert=pairs[0] / NAMES[0])
