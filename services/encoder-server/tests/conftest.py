import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import timm
import torch

from latentprint.core.bundles import BundleCard, save_bundle
from latentprint.core.encoders import Encoder
from latentprint.core.oip import METHODS, from_response, to_request
from latentprint.encoder_server.server import Server
from latentprint.encoder_server.settings import Batching, Compute, Limits, Listening, Obfuscation, Settings
from latentprint.encoder_server.victims import Victim

MODEL = "victim"
VIT = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 48,
    "depth": 2,
    "num_heads": 3,
    "num_classes": 10,
    "global_pool": "avg",
    "dynamic_img_size": True,
}
SETTINGS = Settings(
    compute=Compute(threads=1),
    listening=Listening(port=0, settle_seconds=0.0, grace_seconds=5.0),
)


def small_model(**options: Any) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model("vit_tiny_patch16_224", **{**VIT, **options})


def small_victim(**options: Any) -> Victim:
    encoder = Encoder(small_model(**options), ("embedding", "feature_map", "posterior"))
    return Victim(MODEL, encoder, "vit_tiny_patch16_224", 32, fixed_size=False, weights_digest="0" * 64)


class Brake:
    """Holds every forward of a model until released; `reached` is set once a forward waits."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._held = False
        self.reached = threading.Event()
        self._released = threading.Event()
        model.patch_embed.register_forward_pre_hook(lambda *_: self._pause())

    def hold(self) -> None:
        self.reached.clear()
        self._released.clear()
        self._held = True

    def release(self) -> None:
        self._held = False
        self._released.set()

    async def wait(self) -> None:
        assert await asyncio.to_thread(self.reached.wait, 10)

    def _pause(self) -> None:
        if self._held:
            self.reached.set()
            assert self._released.wait(30)


@dataclass
class Running:
    """A served victim and a channel to it."""

    server: Server
    channel: grpc.aio.Channel
    metadata: list[tuple[str, str]] = field(default_factory=list)

    def call(self, name: str, request: Any, **options: Any) -> Any:
        return METHODS[name].call(self.channel)(request, **{"timeout": 20, "metadata": self.metadata, **options})

    async def infer(
        self,
        images: np.ndarray,
        outputs: Sequence[str] = ("embedding",),
        request_id: str = "",
        datatype: str = "FP32",
        **options: Any,
    ) -> dict[str, np.ndarray]:
        request = to_request(MODEL, {"images": images}, outputs, request_id=request_id, datatype=datatype)
        return from_response(await self.call("ModelInfer", request, **options))

    def count(self, name: str, **labels: str) -> float:
        """Sum of a counter's samples that have these labels."""
        samples = (s for metric in self.server.metrics.registry.collect() for s in metric.samples)
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


Serve = Callable[..., Awaitable[Running]]


async def start(
    victim: Victim,
    *,
    limits: dict[str, Any] | None = None,
    batching: dict[str, Any] | None = None,
    compute: dict[str, Any] | None = None,
    listening: dict[str, Any] | None = None,
    obfuscation: Obfuscation | None = None,
) -> Running:
    settings = replace(
        SETTINGS,
        limits=Limits(**(limits or {})),
        batching=Batching(**(batching or {})),
        compute=replace(SETTINGS.compute, **(compute or {})),
        listening=replace(SETTINGS.listening, **(listening or {})),
        obfuscation=obfuscation or Obfuscation(),
    )
    server = Server(victim, settings)
    await server.start()
    options = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
    return Running(server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options))


async def stop(running: Running) -> None:
    await running.channel.close()
    await running.server.stop(0)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts servers in this event loop; `await serve(victim, limits={...}, batching={...}, listening={...})`."""
    started: list[Running] = []

    async def serve_one(victim: Victim | None = None, **settings: Any) -> Running:
        started.append(await start(victim or small_victim(), **settings))
        return started[-1]

    yield serve_one
    for running in started:
        await stop(running)


class Background:
    """An event loop in a thread of its own with one served victim, for tests that are not coroutines."""

    def __init__(self, **settings: Any) -> None:
        self.victim = small_victim()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.running: Running = self.run(start(self.victim, **settings))

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def close(self) -> None:
        self.run(stop(self.running))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def background() -> Iterator[Callable[..., Background]]:
    started: list[Background] = []

    def begin(**settings: Any) -> Background:
        started.append(Background(**settings))
        return started[-1]

    yield begin
    for one in started:
        one.close()


@pytest.fixture
def victim() -> Victim:
    return small_victim()


@pytest.fixture
def braked() -> tuple[Victim, Brake]:
    victim = small_victim()
    return victim, Brake(victim.encoder.model)


@pytest.fixture
def images() -> Callable[..., np.ndarray]:
    """Random images: `images(count, side=32, seed=0)`."""

    def draw(count: int, side: int = 32, seed: int = 0) -> np.ndarray:
        return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)

    return draw


@pytest.fixture
def refusal() -> Callable[[Any], Awaitable[grpc.aio.AioRpcError]]:
    """The error that a call ends with."""

    async def of(call: Any) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        return raised.value

    return of


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small bundle, named as the model that the tests ask for."""
    folder = tmp_path_factory.mktemp("bundles") / MODEL
    options = {key: value for key, value in VIT.items() if key != "num_classes"}
    card = BundleCard("untrained", ("embedding", "feature_map"), 32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    save_bundle(small_model(num_classes=0), folder, card, {**options, "num_classes": 0})
    return folder
