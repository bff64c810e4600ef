"""What an operator can set, as frozen dataclasses with their defaults in one place."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import inf, prod
from pathlib import Path
from typing import Any

from latentprint.core.channels import Channels
from latentprint.core.checks import require_seed
from latentprint.core.code_digest import code_digest
from latentprint.core.errors import UsageError, unknown_name
from latentprint.core.obfuscation import ObfuscationStep
from latentprint.core.oip import SERVICE
from latentprint.core.samples import Size, height_width

_SERVICE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)
HUB = "hub"  # where a timm model's weights come from, unless they are drawn at random
PRECISIONS = ("fp32", "bf16")
_SHORTEST_AGE, _LONGEST_AGE = 1.0, 1e6  # seconds; gRPC counts milliseconds in 32 bits
_FULL_SIDE = 224  # images up to this side count as one in a batch


@dataclass(frozen=True)
class Limits:
    """What one request, and all waiting ones together, may hold.

    Attributes:
        max_images_per_request: images in one request.
        max_message_bytes: bytes of one request message, and of one response message.
        max_queued_images: images that wait for the device; beyond it requests are refused, to be sent again.
        max_queued_bytes: bytes of those images; beyond it likewise.
        max_side: longest side of an image, pixels.
        replay_bytes: answers kept for replay (requests with an id), bytes.
    """

    max_images_per_request: int = 1024
    max_message_bytes: int = 64 * 2**20
    max_queued_images: int = 8192
    max_side: int = 1024
    replay_bytes: int = 256 * 2**20
    max_queued_bytes: int = 2 * 2**30

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise UsageError(f"{_flag(field.name)} must be at least 1.")
        if self.max_queued_images < self.max_images_per_request:
            raise UsageError(
                f"--max-queued-images {self.max_queued_images} is below --max-images-per-request "
                f"{self.max_images_per_request}: a full request could never be taken."
            )


@dataclass(frozen=True)
class Batching:
    """How waiting requests become one forward.

    Attributes:
        max_batch: images in one forward; those of more than 224 x 224 pixels count for as many as they have pixels.
        max_delay_seconds: how long a free device waits for a batch to fill.
        deterministic: fixed shapes, so that an answer's bits do not depend on its batch.
    """

    max_batch: int = 256
    max_delay_seconds: float = 0.0
    deterministic: bool = False

    def __post_init__(self) -> None:
        if self.max_batch < 1:
            raise UsageError("--max-batch must be at least 1.")
        if not 0 <= self.max_delay_seconds < inf:
            raise UsageError("--max-delay-ms must be finite and not negative.")

    def samples(self, shape: Sequence[int]) -> int:
        """Samples of this shape, (H, W, 3) or (F,), in one forward, whose memory shall not grow with their side."""
        return max(1, self.max_batch * _FULL_SIDE**2 // max(_FULL_SIDE**2, prod(shape[:2])))


@dataclass(frozen=True)
class Compute:
    """Where and how the forward runs.

    Attributes:
        devices: torch devices, one executor thread each.
        threads: torch threads of the forward on the CPU; 0 for torch's choice.
        precision: "fp32" or "bf16".
    """

    devices: tuple[str, ...] = ("cpu",)
    threads: int = 0
    precision: str = "fp32"

    def __post_init__(self) -> None:
        if not self.devices:
            raise UsageError("--device must name at least one torch device, as cpu.")
        if self.precision not in PRECISIONS:
            raise unknown_name("precision", self.precision, PRECISIONS)
        if self.threads < 0:
            raise UsageError("--threads must not be negative.")


@dataclass(frozen=True)
class Listening:
    """Where the server is found, by whom, and how it goes.

    Attributes:
        host: address to bind.
        port: of gRPC; 0 for a free one.
        port_file: where the port is written once the server answers.
        metrics_port: of Prometheus metrics over HTTP; None for no metrics endpoint, 0 for a free one.
        api_key_file: file with one accepted key a line; None for no keys.
        service: full service name to answer under.
        settle_seconds: between going NOT_SERVING and refusing new calls.
        grace_seconds: for calls under way to finish.
        until_stdin_closes: whether it stops as well when nobody can write to its standard input any more.
        max_connection_age: seconds after which a connection is to be renewed, give or take a tenth; None for never.
        max_connection_age_grace: seconds for calls under way on it to finish; None for as long as they take.
        tls_cert, tls_key: PEM files of a certificate and its key, read anew when they change; None for plain gRPC.
        health_port: of health checks alone, without TLS, which probes do not speak; None for none, 0 for a free one.
    """

    host: str = "127.0.0.1"
    port: int = 8500
    port_file: Path | None = None
    metrics_port: int | None = None
    api_key_file: Path | None = None
    service: str = SERVICE
    settle_seconds: float = 0.5
    grace_seconds: float = 30.0
    until_stdin_closes: bool = False
    max_connection_age: float | None = None
    max_connection_age_grace: float | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    health_port: int | None = None

    def __post_init__(self) -> None:
        if not _SERVICE.fullmatch(self.service):
            raise UsageError(f"--service {self.service!r} is no full gRPC service name, as {SERVICE}.")
        for port in (self.port, self.metrics_port or 0, self.health_port or 0):
            if not 0 <= port < 2**16:
                raise UsageError(f"Port {port} does not exist: give one from 1 to 65535, or 0 for a free one.")
        if not (0 <= self.settle_seconds < inf and 0 <= self.grace_seconds < inf):
            raise UsageError("--settle-seconds and --grace-seconds must be finite and not negative.")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("--tls-cert and --tls-key belong together: a certificate, and its private key.")
        self._check_connection_age()

    def _check_connection_age(self) -> None:
        age, grace = self.max_connection_age, self.max_connection_age_grace
        if age is None and grace is not None:
            raise UsageError("--max-connection-age-grace needs --max-connection-age: without it no connection ends.")
        if age is not None and not _SHORTEST_AGE <= age <= _LONGEST_AGE:
            raise UsageError(f"--max-connection-age must be {_SHORTEST_AGE:g} to {_LONGEST_AGE:g} seconds.")
        if grace is not None and not 0 <= grace <= _LONGEST_AGE:
            raise UsageError(f"--max-connection-age-grace must be 0 to {_LONGEST_AGE:g} seconds.")


@dataclass(frozen=True)
class Obfuscation:
    """What is done to embeddings and feature maps before they are answered, as a thief may who serves them.

    Attributes:
        steps: one after the other.
        seed: of what is drawn in them.
    """

    steps: tuple[ObfuscationStep, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        require_seed("--obfuscate-seed", self.seed)

    def __str__(self) -> str:
        return ",".join(map(str, self.steps))


@dataclass(frozen=True)
class Settings:
    """All of them."""

    limits: Limits = Limits()
    batching: Batching = Batching()
    compute: Compute = Compute()
    listening: Listening = Listening()
    obfuscation: Obfuscation = Obfuscation()

    @property
    def changing_answers(self) -> Mapping[str, Any]:
        """The settings that answers depend on, where they are not the defaults: part of what is published of them."""
        of = {"precision": self.compute.precision, "deterministic": self.batching.deterministic}
        plain = {"precision": Compute.precision, "deterministic": Batching.deterministic}
        changing = {name: value for name, value in of.items() if value != plain[name]}
        if self.obfuscation.steps:
            code = code_digest(f"{__package__}.obfuscations:obfuscated")
            changing["obfuscation"] = [str(self.obfuscation), self.obfuscation.seed, code]
        return changing


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


@dataclass(frozen=True)
class Inputs:
    """The images that a timm model is made for, where they are not the architecture's own.

    Attributes:
        size: pixels: the side of square ones, or (height, width).
        mean, std: of red, green and blue, of images scaled to [0, 1].
    """

    size: Size | None = None
    mean: Channels | None = None
    std: Channels | None = None

    @property
    def overlay(self) -> dict[str, Any]:
        """These as timm's pretrained_cfg has them."""
        size = None if self.size is None else (3, *height_width(self.size))
        found = {"input_size": size, "mean": self.mean, "std": self.std}
        return {key: value for key, value in found.items() if value is not None}
