"""What a driver is: one way of reaching a model, which asks once and says what a failure means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol, Self

from latentprint.attack_engine.asking.endpoint import Answers, EndpointCard
from latentprint.core.errors import EndpointError
from latentprint.core.samples import Samples


class DriverError(EndpointError):
    """An attempt that failed, in a sentence for the user, and whether another one makes sense.

    Attributes:
        repeat: asking again is safe and may help: the endpoint was away, not ready yet, or says when to come back.
        delay: seconds that it wants to be left alone first.
        out_of_time: the attempt ran out of its own time; fewer samples may not.
    """

    def __init__(self, sentence: str, *, repeat: bool = False, delay: float = 0.0, out_of_time: bool = False) -> None:
        super().__init__(sentence)
        self.repeat, self.delay, self.out_of_time = repeat, delay, out_of_time


@dataclass(frozen=True)
class Transport:
    """How requests travel; a driver takes of it what concerns it. See `EndpointSpec` for the meaning of most.

    Attributes:
        client: a random name, the same for all who share a ledger: whose the request ids are.
        key: the API key itself.
    """

    client: str = ""
    key: str | None = None
    timeout_seconds: float = 60.0
    in_flight: int = 4
    precision: str = "fp32"
    service: str = ""
    output_names: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None


class Connection(Protocol):
    """An open way to a model. It asks once; repeating, halving, counting and checking is done around it.

    `ask` may be called from `in_flight` threads at once, after `read_card` was called.
    """

    @property
    def in_flight(self) -> int:
        """Threads that may ask at once."""
        ...

    @property
    def interruptions(self) -> int:
        """How often the connection was lost so far; whoever answers next may be another model."""
        ...

    def read_card(self) -> EndpointCard:
        """What the endpoint says of itself now.

        Raises:
            DriverError: it does not answer or refuses.
            EndpointError: it has no such model, or one that cannot be asked.
        """
        ...

    def ask(self, samples: Samples, outputs: Sequence[str], request_id: str) -> Answers:
        """Answer one request: `outputs` for uint8 [B, H, W, 3] or float32 [B, F], as float32 [B, ...] each.

        Raises:
            DriverError: it does not answer or refuses.
            EndpointError: what it answered is not what it announced.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Driver(Connection, Protocol):
    """One way of reaching models by address, which opens to a connection."""

    form: ClassVar[str]  # of its addresses, for people: "grpc://HOST:PORT[/MODEL]"
    in_process: ClassVar[bool]  # the model is in this process, and so cannot change

    @classmethod
    def check_address(cls, url: str) -> None:
        """Raise `UsageError` for an address that is not of the driver's form."""
        ...

    @classmethod
    def open(cls, url: str, transport: Transport) -> Self:
        """Make ready to ask the model at `url`, which a network driver does not contact yet."""
        ...
