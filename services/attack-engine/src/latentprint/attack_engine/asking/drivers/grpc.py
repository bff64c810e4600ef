"""Any Open Inference Protocol v2 server over gRPC: ours, Triton, MLServer, KServe."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from threading import Timer
from typing import Any, ClassVar, Self

import grpc
import numpy as np

from latentprint.attack_engine.asking.drivers.driver import DriverError, Transport
from latentprint.attack_engine.asking.drivers.grpc_failures import explain
from latentprint.attack_engine.asking.drivers.metadata import InputTensor, read_card, read_input
from latentprint.attack_engine.asking.endpoint import Answers, EndpointCard
from latentprint.core.errors import EndpointError, UsageError
from latentprint.core.oip import METHODS, SERVICE, TensorError, from_response, to_request
from latentprint.core.oip.names import AUTHORIZATION, CLIENT
from latentprint.core.samples import Samples

_ADDRESS = re.compile(
    r"(?P<scheme>grpcs?)://(?P<host>\[[0-9a-fA-F:]+\]|[^/:\[\]\s]+):(?P<port>\d+)(?:/(?P<model>[^/\s]+))?/?"
)
_OPTIONS = (
    ("grpc.enable_retries", 0),  # gRPC's own silently does nothing above 256 KiB a request
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.lb_policy_name", "round_robin"),
)
_CONTROL_SECONDS = 20.0  # a small call to a server that is there but busy
_UNSUBSCRIBED_SECONDS = 0.5  # gRPC's thread that notices looks up every 0.2 s and fails on a channel that is closed


@dataclass(frozen=True)
class GrpcAddress:
    """A parsed address: a gRPC target and a model, "" for the server's only one."""

    target: str
    model: str = ""
    secure: bool = False

    @property
    def loopback(self) -> bool:
        """Whether it is this machine's own, which no proxy stands before."""
        host = self.target.rpartition(":")[0].strip("[]")
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost" or host.endswith(".localhost")


def parse_address(url: str) -> GrpcAddress:
    """Take an address apart. Raises `UsageError` saying how one is written."""
    match = _ADDRESS.fullmatch(url)
    if match is None:
        form = f"{url.partition(':')[0]}://HOST:PORT[/MODEL]"
        raise UsageError(f"{url!r} is not an endpoint's address: use {form}.")
    if not 0 < int(match["port"]) < 65536:
        raise UsageError(f"{url!r} has no valid port: {match['port']} is not between 1 and 65535.")
    return GrpcAddress(f"{match['host']}:{match['port']}", match["model"] or "", match["scheme"] == "grpcs")


class GrpcDriver:
    """One channel, made where it is used, and the protocol's calls on it; see `Driver`."""

    form: ClassVar[str] = "grpc://HOST:PORT[/MODEL]"
    in_process: ClassVar[bool] = False

    def __init__(self, url: str, transport: Transport) -> None:
        address = parse_address(url)
        self._url = url
        self._transport = transport
        self._metadata = [(CLIENT, transport.client)]
        if transport.key:
            self._metadata.append((AUTHORIZATION, f"Bearer {transport.key}"))
        self._channel = _channel(address)
        service = transport.service or SERVICE
        self._calls = {name: method.call(self._channel, service) for name, method in METHODS.items()}
        self._model = address.model
        self._input: InputTensor | None = None
        self._interruptions, self._connected, self._noticing = 0, False, False

    @classmethod
    def check_address(cls, url: str) -> None:
        """See `Driver.check_address`."""
        parse_address(url)

    @classmethod
    def open(cls, url: str, transport: Transport) -> Self:
        """See `Driver.open`."""
        return cls(url, transport)

    @property
    def in_flight(self) -> int:
        """Calls under way at once."""
        return self._transport.in_flight

    @property
    def interruptions(self) -> int:
        """See `Driver.interruptions`; counted from when it is first read."""
        if not self._noticing:
            self._noticing = True
            self._channel.subscribe(self._notice)
        return self._interruptions

    def _notice(self, state: grpc.ChannelConnectivity) -> None:
        """Count the times that a connection went away; gRPC makes the next one silently."""
        if state is grpc.ChannelConnectivity.READY:
            self._connected = True
        elif self._connected:
            self._connected = False
            self._interruptions += 1

    def read_card(self) -> EndpointCard:
        """See `Driver.read_card`."""
        server = self._call("ServerMetadata")
        metadata = self._call("ModelMetadata", name=self._model)
        tensor = read_input(self._url, metadata)
        names = self._transport.output_names
        card = read_card(self._url, server, metadata, tensor, self._transport.precision, names)
        for name, fields in (("ServerReady", {}), ("ModelReady", {"name": card.model or self._model})):
            if not self._call(name, **fields).ready:
                sentence = f"{self._url} is up but not ready to answer: wait until it has warmed up."
                raise DriverError(sentence, repeat=True)
        self._model, self._input = card.model, tensor
        return card

    def _call(self, name: str, /, **fields: str) -> Any:
        """One of the small calls."""
        request = METHODS[name].request(**fields)
        try:
            return self._calls[name](request, timeout=_CONTROL_SECONDS, metadata=self._metadata)
        except grpc.RpcError as error:
            raise self._failure(error) from None

    def ask(self, samples: Samples, outputs: Sequence[str], request_id: str) -> Answers:
        """See `Driver.ask`."""
        if self._input is None:
            raise EndpointError(f"{self._url} was asked before its card was read: call read_card first.")
        names = self._transport.output_names
        request = to_request(
            self._model,
            {self._input.name: self._input.tensor(samples)},
            [names.get(name, name) for name in outputs],
            request_id=request_id,
            datatype=self._transport.precision.upper(),
        )
        try:
            response = self._calls["ModelInfer"](
                request, timeout=self._transport.timeout_seconds, metadata=self._metadata
            )
        except grpc.RpcError as error:
            raise self._failure(error, len(samples)) from None
        return self._answers(response, outputs)

    def _failure(self, error: grpc.RpcError, samples: int = 0) -> DriverError:
        return explain(error, self._url, model=self._model, key=bool(self._transport.key), images=samples)

    def _answers(self, response: Any, outputs: Sequence[str]) -> Answers:
        theirs = {name: self._transport.output_names.get(name, name) for name in outputs}
        try:
            arrays = from_response(response, theirs.values())
        except TensorError as error:
            raise EndpointError(f"{self._url} does not keep to the protocol: {error}") from None
        for name, their in theirs.items():
            if their not in arrays:
                sent = ", ".join(repr(tensor.name) for tensor in response.outputs) or "nothing"
                raise EndpointError(f"{self._url} left out {their!r}, asked for as {name!r}: it sent {sent}.")
        with np.errstate(over="ignore"):  # what a float32 cannot hold is not finite, and reported as such
            return {name: arrays[their].astype(np.float32, copy=False) for name, their in theirs.items()}

    def close(self) -> None:
        """Close the channel."""
        if not self._noticing:
            self._channel.close()
            return
        self._channel.unsubscribe(self._notice)
        later = Timer(_UNSUBSCRIBED_SECONDS, self._channel.close)
        later.daemon = True
        later.start()


class SecureGrpcDriver(GrpcDriver):
    """The same over TLS."""

    form: ClassVar[str] = "grpcs://HOST:PORT[/MODEL]"


def _channel(address: GrpcAddress) -> grpc.Channel:
    options = (*_OPTIONS, ("grpc.enable_http_proxy", 0)) if address.loopback else _OPTIONS
    if address.secure:
        return grpc.secure_channel(address.target, grpc.ssl_channel_credentials(), options=options)
    return grpc.insecure_channel(address.target, options=options)
