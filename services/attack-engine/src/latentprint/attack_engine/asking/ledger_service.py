"""The query budget of a cluster: one actor that all workers ask, its grants in the storage before they are given."""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

from latentprint.attack_engine.asking.endpoint import Counts
from latentprint.attack_engine.asking.ledger import Ledger, LedgerSpec
from latentprint.attack_engine.asking.ledger_journal import LedgerJournal
from latentprint.core.digests import digest_json
from latentprint.core.errors import DataError, LatentprintError
from latentprint.core.mirror import Mirror
from latentprint.core.storage import Storage

_LEDGERS = "ledgers"  # in the storage
_NAMESPACE = "latentprint"  # of Ray's actors
_AT_ONCE = 256  # calls that may wait together for one write
_GRANTS = ("set_aside", "sending")  # these wait for it; what else is told may be lost with the actor, and costs nothing
_LOOKS: Mapping[str, Callable[..., Any]] = {
    "require": Ledger.require,
    "unfinished": Ledger.unfinished,
    "counts": Ledger.counts,
    "client": lambda ledger: ledger.client,
    "spent": lambda ledger: ledger.spent,
}
_TRIES = 5  # of a call whose actor died


class LedgerService:
    """The actor. Arguments as for `LedgerJournal`."""

    def __init__(self, storage: Storage, key: str, first: str) -> None:
        self._journal = LedgerJournal(storage, key, first)

    def call(self, name: str, arguments: dict[str, Any], budget: int | None) -> tuple[Any, LatentprintError | None]:
        """What the ledger's method of this name returns under a budget, and what a user can mend where it fails."""
        try:
            if name in _LOOKS:
                return self._journal.read(partial(_LOOKS[name], **arguments), budget), None
            found, number = self._journal.change((name, arguments), budget)
            if name in _GRANTS:
                self._journal.wait(number)
        except LatentprintError as error:
            return None, error
        return found, None


class SharedLedger(Ledger):
    """The ledger of a cluster, as whoever asks an endpoint sees it; see `Ledger`.

    The actor that keeps it is started by the first who needs it, on any node, and again where its node is lost.

    Raises:
        DataError: a file that is not a ledger lies where one machine would have it.
    """

    def __init__(self, spec: LedgerSpec, mirror: Mirror) -> None:
        if spec.path is None:
            raise ValueError("a ledger in memory is shared with nobody")
        self.spec = spec
        self._storage = mirror.storage
        self._key = f"{_LEDGERS}/{mirror.relative(spec.path).as_posix()}"
        self._first = ""
        if spec.path.exists():  # of a run that had no storage yet
            with Ledger(spec) as kept:
                self._first = kept.dump()

    def set_aside(self, scope: str, requests: Mapping[str, int], *, idempotent: bool) -> None:
        """See `Ledger.set_aside`."""
        self._call("set_aside", scope=scope, requests=dict(requests), idempotent=idempotent)

    def sending(self, scope: str, name: str, images: int, *, idempotent: bool) -> bool:
        """See `Ledger.sending`."""
        return bool(self._call("sending", scope=scope, name=name, images=images, idempotent=idempotent))

    def answered(self, scope: str, name: str) -> None:
        """See `Ledger.answered`."""
        self._call("answered", scope=scope, name=name)

    def kept(self, scope: str, requests: Mapping[str, int]) -> None:
        """See `Ledger.kept`."""
        self._call("kept", scope=scope, requests=dict(requests))

    def give_back(self, scope: str, names: Mapping[str, int]) -> None:
        """See `Ledger.give_back`."""
        self._call("give_back", scope=scope, names=dict(names))

    def require(self, images: int) -> None:
        """See `Ledger.require`."""
        self._call("require", images=images)

    @property
    def client(self) -> str:
        """See `Ledger.client`."""
        return str(self._call("client"))

    @property
    def spent(self) -> int:
        """See `Ledger.spent`."""
        return int(self._call("spent"))

    def unfinished(self, scope: str, *, idempotent: bool) -> int:
        """See `Ledger.unfinished`."""
        return int(self._call("unfinished", scope=scope, idempotent=idempotent))

    def counts(self, scope: str) -> Counts:
        """See `Ledger.counts`."""
        found: Counts = self._call("counts", scope=scope)
        return found

    def close(self) -> None:
        """See `Ledger.close`: the actor stays for whoever asks next."""

    def _call(self, method: str, /, **arguments: Any) -> Any:
        import ray

        for _ in range(_TRIES):
            actor = _actor(ray.get_runtime_context().get_job_id(), self._storage, self._key, self._first)
            try:
                found, error = ray.get(actor.call.remote(method, arguments, self.spec.budget))
            except ray.exceptions.RayActorError:  # whoever started it has ended: the next one takes it over
                _actor.cache_clear()
                continue
            if error is not None:
                raise error
            return found
        raise DataError(
            f"The query ledger in the storage {self._storage} was lost {_TRIES} times in a row: look after the "
            "cluster's nodes, and run the same command again to go on."
        )


@lru_cache(maxsize=64)
def _actor(job: str, storage: Storage, key: str, first: str) -> Any:
    """The actor of a ledger on the Ray that this process is connected to; held, so that it stays."""
    import ray

    del job  # another connection to Ray has other actors
    remote = ray.remote(LedgerService).options(
        name=f"ledger-{digest_json([storage.url, key])}",
        namespace=_NAMESPACE,
        get_if_exists=True,
        num_cpus=0,
        max_concurrency=_AT_ONCE,
        max_restarts=-1,
        max_task_retries=-1,
    )
    return remote.remote(storage, key, first)
