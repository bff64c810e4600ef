"""An endpoint by address: small, picklable, opened in the worker that asks it."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Any, Literal

from latentprint.attack_engine.asking.answer_store import AnswerStore
from latentprint.attack_engine.asking.attempts import repeated
from latentprint.attack_engine.asking.drivers import driver_of
from latentprint.attack_engine.asking.drivers.driver import Connection, Transport
from latentprint.attack_engine.asking.endpoint import EndpointCard
from latentprint.attack_engine.asking.ledger import Ledger, LedgerSpec
from latentprint.attack_engine.asking.metered import MeteredEndpoint
from latentprint.attack_engine.asking.model_identity import CANARIES, EVERY, ModelIdentityCheck
from latentprint.attack_engine.asking.requests import Throttle
from latentprint.core.errors import UsageError, unknown_name
from latentprint.core.oip import SERVICE
from latentprint.core.outputs import OUTPUTS


@dataclass(frozen=True)
class EndpointSpec:
    """How an endpoint is reached and how hard it is asked.

    Attributes:
        url: "grpc://HOST:PORT[/MODEL]", "grpcs://..." (TLS) or "local:BUNDLE_DIR" (in this process).
        api_key_file: file with the API key, if the endpoint wants one.
        timeout_seconds: deadline of one attempt.
        total_seconds: time for one request with all its attempts.
        connect_seconds: how long opening goes on trying an endpoint that is down.
        in_flight: requests under way at once from one worker (gRPC).
        images_per_request: None takes the endpoint's preference; its limits hold in any case.
        precision: "fp32", or "fp16" answers where the endpoint offers them (half the bytes).
        images_per_second: ceiling on the rate of one worker; None for none.
        service: gRPC service that speaks the protocol; the standard's name unless a server uses another.
        output_names: "embedding", "feature_map" or "posterior" to the endpoint's own name for it.
        threads: PyTorch threads of an in-process endpoint, a setting of the whole process; None leaves it.
        canaries: generated samples that are asked again at the start of a run, at intervals, after a lost connection
            and before a shard is kept, to tell whether the model is still the same; None asks 4 where no serving
            digest is published and none elsewhere. An in-process endpoint needs none.
        canary_every: images that one worker asks between two such checks.
        api_key: the key itself, in place of a file of another machine.
        model: a model of this process, in place of one by address; such an endpoint goes to no other process.
    """

    url: str
    api_key_file: str | None = None
    timeout_seconds: float = 60.0
    total_seconds: float = 120.0
    connect_seconds: float = 5.0
    in_flight: int = 4
    images_per_request: int | None = None
    precision: Literal["fp32", "fp16"] = "fp32"
    images_per_second: float | None = None
    service: str = SERVICE
    output_names: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    canaries: int | None = None
    canary_every: int = EVERY
    api_key: str | None = field(default=None, repr=False)
    model: Connection | None = None

    def __post_init__(self) -> None:
        if self.model is None:
            driver_of(self.url)
        for name in self.output_names:
            if name not in OUTPUTS:
                raise unknown_name("output", name, OUTPUTS)
        if self.canaries is not None and self.canaries < 0:
            raise UsageError(f"canaries of {self.url} must be 0 or more, not {self.canaries}.")
        for name in (
            "timeout_seconds",
            "total_seconds",
            "in_flight",
            "images_per_request",
            "images_per_second",
            "canary_every",
        ):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                raise UsageError(f"{name} of {self.url} must be above 0 and finite, not {value}.")

    def __getstate__(self) -> dict[str, Any]:
        """With the key itself: what is pickled goes to another process, maybe of a machine without that file."""
        return {**self.__dict__, "api_key": self.api_key or _read_key(self.api_key_file)}

    def like(self, url: str, *, ours: bool = False) -> "EndpointSpec":
        """Another address, asked as this one is: key, service, names of outputs, times, rate and sizes of requests.

        With `ours`, an encoder that latentprint itself serves: it has the standard's names and wants no key.
        """
        if not ours and not driver_of(url).in_process:
            return replace(self, url=url, model=None)
        keyless = replace(self, url=url, api_key_file=None, api_key=None, model=None)
        return replace(keyless, service=SERVICE, output_names={}, canaries=None)

    def check(
        self, card: EndpointCard, folder: Path, outputs: tuple[str, ...], sample_shape: tuple[int, ...]
    ) -> ModelIdentityCheck | None:
        """How it is checked that `card`'s model stays the same; None for a bundle in this process, which cannot change.

        A model that a program holds is asked canaries too: nothing else tells whether it answers a sample twice alike.

        Args:
            card: what the endpoint said of itself.
            folder: where the canaries' answers are kept.
            outputs: what is asked of it.
            sample_shape: of the samples that are asked, and so of the canaries.
        """
        if self.model is None and driver_of(self.url).in_process:
            return None
        usual = 0 if card.serving_digest and self.model is None else CANARIES
        count = usual if self.canaries is None else self.canaries
        return ModelIdentityCheck(card, folder, outputs, sample_shape, count, self.canary_every)

    def open(
        self, ledger: Ledger | LedgerSpec | None = None, *, scope: str = "", kept: AnswerStore | None = None
    ) -> MeteredEndpoint:
        """Connect and read the card.

        Args:
            ledger: where the budget is leased from, closed with the endpoint; None counts without a limit.
            scope: what the counts are kept under in the ledger.
            kept: answers kept on disk, looked up first.

        Raises:
            EndpointError: down, not ready, of another protocol, wrong key, unknown model.
            DataError: a bundle that does not open.
        """
        with ExitStack() as opened:
            book = ledger if isinstance(ledger, Ledger) else (ledger or LedgerSpec()).open()
            opened.callback(book.close)
            driver = self.model or driver_of(self.url).open(self.url, self._transport(book.client))
            opened.callback(driver.close)
            card = repeated(driver.read_card, self.connect_seconds)
            opened.pop_all()
        return MeteredEndpoint(
            driver,
            card,
            book,
            scope=scope,
            request_images=self.images_per_request,
            kept=kept,
            throttle=Throttle(self.images_per_second) if self.images_per_second else None,
            total_seconds=self.total_seconds,
        )

    def _transport(self, client: str) -> Transport:
        return Transport(
            client=client,
            key=self.api_key or _read_key(self.api_key_file),
            timeout_seconds=self.timeout_seconds,
            in_flight=self.in_flight,
            precision=self.precision,
            service=self.service,
            output_names=dict(self.output_names),
            threads=self.threads,
        )


def _read_key(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        key = Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The API key file {path} cannot be read: {error}.") from None
    if not key or not key.isascii() or any(c.isspace() for c in key):
        raise UsageError(f"The API key file {path} must hold one key of ASCII characters and nothing else.")
    return key
