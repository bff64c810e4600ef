"""Any Open Inference Protocol v2 server over gRPC: ours, Triton, KServe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Timer
from typing import Any

import grpc
import numpy as np
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from latentprint.attack_engine.asking.drivers.grpc_failures import explain, is_deadline, may_repeat, retry_delay
from latentprint.attack_engine.asking.drivers.metadata import InputTensor, read_card, read_input
from latentprint.attack_engine.asking.endpoint import Answers, EndpointCard
from latentprint.attack_engine.asking.endpoint_spec import EndpointAddress
from latentprint.core.errors import EndpointError
from latentprint.core.oip import METHODS, SERVICE, TensorError, from_response, to_request
from latentprint.core.oip.names import AUTHORIZATION, CLIENT
from latentprint.core.samples import Samples

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
_BACKOFF = wait_random_exponential(multiplier=0.1, max=5.0)


@dataclass(frozen=True)
class Transport:
    """How requests travel; see `EndpointSpec` for the meaning of each."""

    timeout_seconds: float = 60.0
    total_seconds: float = 120.0
    connect_seconds: float = 5.0
    in_flight: int = 4
    precision: str = "fp32"
    service: str = SERVICE
    output_names: Mapping[str, str] | None = None


class GrpcDriver:
    """One channel, made where it is used, and the six calls of the protocol on it.

    Raises `EndpointError` if the server is down, not ready, of another protocol, refuses the key or the model.
    """

    def __init__(
        self, url: str, address: EndpointAddress, transport: Transport, *, key: str | None, client: str
    ) -> None:
        self._url = url
        self._transport = transport
        self._key = key
        self._metadata = [(CLIENT, client), *([(AUTHORIZATION, f"Bearer {key}")] if key else [])]
        self._names = dict(transport.output_names or {})
        self._channel = _channel(address)
        self._calls = {name: method.call(self._channel, transport.service) for name, method in METHODS.items()}
        self.in_flight = transport.in_flight
        self._interruptions, self._connected, self._noticing = 0, False, False
        self._model = address.model
        try:
            self.card, self._input = self._connect(address.model)
        except BaseException:
            self.close()
            raise

    def _connect(self, model: str) -> tuple[EndpointCard, InputTensor]:
        card, tensor = self._described(model)
        for name, fields in (("ServerReady", {}), ("ModelReady", {"name": card.model or model})):
            if not self._control(name, model, **fields).ready:
                raise EndpointError(f"{self._url} is up but not ready to answer: wait until it has warmed up.")
        return card, tensor

    def _described(self, model: str, seconds: float | None = None) -> tuple[EndpointCard, InputTensor]:
        server = self._control("ServerMetadata", model, seconds)
        metadata = self._control("ModelMetadata", model, seconds, name=model)
        tensor = read_input(self._url, metadata)
        return read_card(self._url, server, metadata, tensor, self._transport.precision, self._names), tensor

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
        """See `Driver.read_card`; it waits for a server that is away as long as a request does."""
        return self._described(self._model, self._transport.total_seconds)[0]

    def _control(self, call: str, model: str, seconds: float | None = None, /, **fields: str) -> Any:
        """One of the small calls, repeated while the server is away for `seconds`, or as long as opening may wait."""
        attempts = _attempts(self._transport.connect_seconds if seconds is None else seconds)
        request = METHODS[call].request(**fields)
        try:
            return attempts(self._calls[call], request, timeout=_CONTROL_SECONDS, metadata=self._metadata)
        except grpc.RpcError as error:
            raise explain(error, self._url, model=model, key=bool(self._key)) from None

    def ask(self, images: Samples, outputs: Sequence[str], request_id: str, resend: Callable[[], None]) -> Answers:
        """Answer one request, asking again what is safe to ask again.

        A server that was away is asked again with full jitter, an overloaded one when it says so; a request that ran
        out of time is asked once more in two halves. Nothing else is repeated.

        Raises:
            EndpointError: the endpoint failed for good, or what it answered is not what it announced.
        """
        try:
            return self._halved(images, outputs, request_id, resend)
        except grpc.RpcError as error:
            raise explain(error, self._url, model=self.card.model, key=bool(self._key), images=len(images)) from None

    def _halved(self, images: Samples, outputs: Sequence[str], request_id: str, resend: Callable[[], None]) -> Answers:
        try:
            return self._repeated(images, outputs, request_id, resend)
        except grpc.RpcError as error:
            if not is_deadline(error) or len(images) < 2 or self.card.batch:
                raise
        resend()
        middle = len(images) // 2
        halves = [
            self._repeated(part, outputs, f"{request_id}-{index}", resend)
            for index, part in enumerate((images[:middle], images[middle:]))
        ]
        return {name: np.concatenate([half[name] for half in halves]) for name in outputs}

    def _repeated(
        self, images: Samples, outputs: Sequence[str], request_id: str, resend: Callable[[], None]
    ) -> Answers:
        request = to_request(
            self.card.model,
            {self._input.name: self._input.tensor(_filled(images, self._input.batch))},
            [self._names.get(name, name) for name in outputs],
            request_id=request_id,
            datatype=self.card.precision.upper(),
        )
        attempts = _attempts(self._transport.total_seconds).copy(before_sleep=lambda _: resend())
        infer, seconds = self._calls["ModelInfer"], self._transport.timeout_seconds
        response = attempts(infer, request, timeout=seconds, metadata=self._metadata)
        return self._answers(response, outputs, len(images))

    def _answers(self, response: Any, outputs: Sequence[str], count: int) -> Answers:
        theirs = {name: self._names.get(name, name) for name in outputs}
        try:
            arrays = from_response(response, theirs.values())
        except TensorError as error:
            raise EndpointError(f"{self._url} does not keep to the protocol: {error}") from None
        for name, their in theirs.items():
            if their not in arrays:
                raise EndpointError(
                    f"{self._url} left out {their!r}, asked for as {name!r}: it sent {_sent(response)}."
                )
        filling = self._input.batch
        with np.errstate(over="ignore"):  # what a float32 cannot hold is not finite, and reported as such
            answers = {name: arrays[their].astype(np.float32, copy=False) for name, their in theirs.items()}
        return {name: rows[:count] if len(rows) == filling else rows for name, rows in answers.items()}

    def close(self) -> None:
        """Close the channel."""
        if not self._noticing:
            self._channel.close()
            return
        self._channel.unsubscribe(self._notice)
        later = Timer(_UNSUBSCRIBED_SECONDS, self._channel.close)
        later.daemon = True
        later.start()


def _filled(images: Samples, batch: int | None) -> Samples:
    """The samples, with the last one repeated up to the number that a request must hold."""
    missing = (batch or 0) - len(images)
    return images if missing <= 0 else np.concatenate([images, images[-1:].repeat(missing, axis=0)])


def _sent(response: Any) -> str:
    return ", ".join(repr(tensor.name) for tensor in response.outputs) or "nothing"


def _channel(address: EndpointAddress) -> grpc.Channel:
    options = (*_OPTIONS, ("grpc.enable_http_proxy", 0)) if address.loopback else _OPTIONS
    if address.secure:
        return grpc.secure_channel(address.target, grpc.ssl_channel_credentials(), options=options)
    return grpc.insecure_channel(address.target, options=options)


def _attempts(seconds: float) -> Retrying:
    return Retrying(retry=retry_if_exception(may_repeat), stop=stop_after_delay(seconds), wait=_wait, reraise=True)


def _wait(state: RetryCallState) -> float:
    """Full jitter, on top of the delay that an overloaded server asks for."""
    error = state.outcome.exception() if state.outcome else None
    return (retry_delay(error) or 0.0) + _BACKOFF(state)
