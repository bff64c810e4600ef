"""What a ledger says of one endpoint while workers ask it, for whoever watches the run."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from threading import Lock

from latentprint.attack_engine.asking.ledger import Ledger, LedgerSpec
from latentprint.attack_engine.scheduling.status import AskedFigures

_log = logging.getLogger(__name__)


class LedgerReader:
    """Reads the figures of an endpoint from its ledger, which is opened when they are first wanted.

    A ledger that cannot be read stops no run: the figures are those from before, and not `current`.

    Args:
        model: the audited model's name.
        side: "victim", or what the encoder is beside it.
        ledger: where its questions are counted.
        scopes: what they are counted under, with the name of the signal that asked.
    """

    def __init__(self, model: str, side: str, ledger: LedgerSpec, scopes: Mapping[str, str]) -> None:
        self._spec = ledger
        self._scopes = dict(scopes)
        self._figures = AskedFigures(model, side)
        self._ledger: Ledger | None = None
        self._lock = Lock()
        self._closed = False

    def __call__(self) -> AskedFigures:
        """The figures now; once it is closed, the last."""
        with self._lock:
            if not self._closed:
                self._read()
            return self._figures

    def close(self) -> None:
        """Read the figures for the last time, and close the ledger."""
        with self._lock:
            self._read()
            if self._ledger is not None:
                self._ledger.close()
            self._closed = True

    def _read(self) -> None:
        try:
            self._ledger = self._ledger or self._spec.open()
            images: Counter[tuple[str, str]] = Counter()
            for scope, signal in self._scopes.items():
                counts = asdict(self._ledger.counts(scope))
                images.update({(signal, outcome): count for outcome, count in counts.items()})
            spent, left = self._ledger.spent, self._ledger.left
        except Exception as error:  # of whatever keeps the ledger: a disk, a service, a network
            if self._figures.current:
                _log.warning("The ledger cannot be read for the metrics: %s: %s", type(error).__name__, error)
            self._figures = replace(self._figures, current=False)
            return
        self._figures = replace(self._figures, images=dict(images), spent=spent, left=left, current=True)
