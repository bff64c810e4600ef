"""The protocol's six calls, answered for one model."""

import asyncio
from importlib.metadata import version
from typing import Any

from latentprint.core.oip import METHODS, to_response
from latentprint.core.oip import inference_pb2 as pb
from latentprint.core.oip.names import AUTHORIZATION, CLIENT, VECTORS
from latentprint.encoder_server.batcher import Batcher
from latentprint.encoder_server.metadata import VERSION
from latentprint.encoder_server.metrics import Metrics
from latentprint.encoder_server.queue import Ticket, expiry
from latentprint.encoder_server.refusals import Refusal, not_found
from latentprint.encoder_server.replay import Flight, Replay, request_key
from latentprint.encoder_server.requests import InferenceQuery, check_answer_size, read_question
from latentprint.encoder_server.settings import Limits
from latentprint.encoder_server.sizes import Sizes

_DISTRIBUTION = "latentprint-encoder-server"


class InferenceService:
    """Answers the protocol's calls.

    Args:
        metadata: the model's, as published.
        batcher: computes answers.
        sizes: knows which sizes of samples the model takes.
        limits: of a request.
        metrics: told what was answered and replayed.
    """

    def __init__(
        self, metadata: pb.ModelMetadataResponse, batcher: Batcher, sizes: Sizes, limits: Limits, metrics: Metrics
    ) -> None:
        self.ready = True
        self._metadata = metadata
        self._public = tuple(output.name for output in metadata.outputs)
        self._features = metadata.inputs[0].shape[1] if metadata.inputs[0].name == VECTORS else None
        self._batcher = batcher
        self._sizes = sizes
        self._limits = limits
        self._metrics = metrics
        self._replay = Replay(limits.replay_bytes, batcher.queue.withdraw)

    def handlers(self) -> dict[str, Any]:
        """Coroutine functions (request, context) by call name."""
        handlers = {
            "ServerLive": self.server_live,
            "ServerReady": self.server_ready,
            "ModelReady": self.model_ready,
            "ServerMetadata": self.server_metadata,
            "ModelMetadata": self.model_metadata,
            "ModelInfer": self.model_infer,
        }
        return {name: handlers[name] for name in METHODS}

    async def server_live(self, _request: pb.ServerLiveRequest, _context: Any) -> pb.ServerLiveResponse:
        """The process answers."""
        return pb.ServerLiveResponse(live=True)

    async def server_ready(self, _request: pb.ServerReadyRequest, _context: Any) -> pb.ServerReadyResponse:
        """False once the server drains."""
        return pb.ServerReadyResponse(ready=self.ready)

    async def model_ready(self, request: pb.ModelReadyRequest, _context: Any) -> pb.ModelReadyResponse:
        """False for another model or version, and once the server drains."""
        return pb.ModelReadyResponse(ready=self.ready and self._serves(request.name, request.version))

    async def server_metadata(self, _request: pb.ServerMetadataRequest, _context: Any) -> pb.ServerMetadataResponse:
        """Name and version of the server."""
        return pb.ServerMetadataResponse(name="latentprint", version=server_version())

    async def model_metadata(self, request: pb.ModelMetadataRequest, _context: Any) -> pb.ModelMetadataResponse:
        """Tensors, limits and digest of the model. Raises `Refusal` (NOT_FOUND) for another."""
        self._check_model(request.name, request.version)
        return self._metadata

    async def model_infer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        """Answer samples; a request with an id is computed once, however often it comes."""
        self._check_model(request.model_name, request.model_version)
        question = read_question(request, self._public, self._limits, self._features)
        check_answer_size(question, await self._sizes.shapes(question.samples.shape[1:]), self._limits)
        expires = expiry(context.time_remaining())
        if request.id:
            return await self._once(request, question, expires, _client(context))
        ticket = self._submit(question, expires)
        try:
            return await self._respond(request, question, ticket)
        finally:
            self._batcher.queue.withdraw(ticket)

    async def _once(
        self, request: pb.ModelInferRequest, question: InferenceQuery, expires: float, client: str
    ) -> pb.ModelInferResponse:
        key = request_key(client, request)
        kept = self._replay.kept(key)
        if kept is not None:
            self._metrics.replayed(question.samples.shape, self._kind(question))
            return kept
        flight = self._replay.under_way(key)
        if flight is None:
            ticket = self._submit(question, expires)
            flight = Flight(ticket, asyncio.create_task(self._respond(request, question, ticket)))
            self._replay.depart(key, flight)
            return await self._replay.wait(key, flight)
        flight.ticket.expires = max(flight.ticket.expires, expires)
        response = await self._replay.wait(key, flight)
        self._metrics.replayed(question.samples.shape, self._kind(question))
        return response

    def _submit(self, question: InferenceQuery, expires: float) -> Ticket:
        return self._batcher.submit(question.samples, self._kind(question), expires)

    async def _respond(
        self, request: pb.ModelInferRequest, question: InferenceQuery, ticket: Ticket
    ) -> pb.ModelInferResponse:
        answers = await ticket.answer
        self._metrics.answered(question.samples.shape, ticket.outputs)
        arrays = {name: answers[name].astype(dtype, copy=False) for name, dtype in question.outputs.items()}
        return to_response(self._metadata.name, arrays, request_id=request.id, version=VERSION)

    def _kind(self, question: InferenceQuery) -> tuple[str, ...]:
        """The outputs in the model's order, so that requests share batches whatever order they ask in."""
        return tuple(name for name in self._public if name in question.outputs)

    def _serves(self, name: str, version_asked: str) -> bool:
        return name in ("", self._metadata.name) and version_asked in ("", VERSION)

    def _check_model(self, name: str, version_asked: str) -> None:
        if not self._serves(name, version_asked):
            raise _no_model(name, version_asked, self._metadata.name)


def server_version() -> str:
    """Of the package that is installed."""
    return version(_DISTRIBUTION)


def _no_model(name: str, version_asked: str, served: str) -> Refusal:
    asked = f"{name!r} version {version_asked!r}" if version_asked else repr(name)
    return not_found(f"No model {asked} here: this server has {served!r} version {VERSION!r}.")


def _client(context: Any) -> str:
    """Whose request ids these are: the key and the name that the client gives, where it gives any."""
    metadata = dict(context.invocation_metadata() or ())
    return f"{metadata.get(AUTHORIZATION, '')}\n{metadata.get(CLIENT, '')}"
