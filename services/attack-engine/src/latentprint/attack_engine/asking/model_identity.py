"""Whether an endpoint still serves the model that the kept answers came from: its card, and canaries asked again."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np

from latentprint.attack_engine.asking.answer_store import AnswerStore
from latentprint.attack_engine.asking.canaries import LARGEST, MARGIN, KeptCanaries, canary_samples, difference
from latentprint.attack_engine.asking.endpoint import Answers, EndpointCard
from latentprint.core.digests import digest_arrays, digest_json
from latentprint.core.errors import EndpointError
from latentprint.core.files import write_atomically
from latentprint.core.samples import Samples

CANARIES = 4
EVERY = 1_000


class ModelChangedError(EndpointError):
    """An endpoint serves another model than the one that it was asked about before."""


class CanaryEndpoint(Protocol):
    """What the check needs of an endpoint."""

    def read_card(self) -> EndpointCard:
        """The card as it is now."""
        ...

    def ask_anew(self, samples: Samples, outputs: Sequence[str], *, scope: str, alone: bool) -> Answers:
        """Answers that are neither looked up nor kept, asked in requests of the usual size or of one sample each."""
        ...


@dataclass(frozen=True)
class ModelIdentityCheck:
    """How it is checked that a model stays the same; small and picklable.

    Attributes:
        card: the endpoint when the extraction was planned.
        folder: where the canaries' answers are kept.
        outputs: what the canaries are asked for.
        sample_shape: of a canary, (H, W, 3) or (F,).
        canaries: how many; 0 for a look at the card alone.
        every: images that one worker asks between two checks.
    """

    card: EndpointCard
    folder: Path
    outputs: tuple[str, ...]
    sample_shape: tuple[int, ...]
    canaries: int
    every: int = EVERY

    @property
    def scope(self) -> str:
        """What the canaries' counts are kept under in the ledger."""
        return digest_json({"canaries": self.card.identity, "shape": self.sample_shape, "outputs": self.outputs})

    @property
    def unchecked(self) -> str:
        """Why a change of the model would pass unseen; "" where it would not."""
        if not self.canaries:
            return "" if self.card.serving_digest else "no serving digest is published and no canary was asked"
        unsteady = [name for name in self.outputs if not self._kept(name).steady]
        if not unsteady:
            return ""
        return f"the endpoint answers the same sample too differently from one time to the next ({', '.join(unsteady)})"

    @property
    def first_images(self) -> int:
        """Images that the check at the start of a run asks: each alone as well where no answers of theirs are kept."""
        known = all(self._read(name) is not None for name in self.outputs)
        return self.images if known else self.images + self.canaries * (self.card.batch or 1)

    @property
    def images(self) -> int:
        """Images that one check asks: the canaries, and what fills up batches where none but full ones are taken."""
        full = self.card.batch or 1
        return -(-self.canaries // full) * full

    def samples(self) -> Samples:
        """The canaries, the same for every run; see `canary_samples`."""
        return canary_samples(self.canaries, self.sample_shape)

    def begin(self, endpoint: CanaryEndpoint) -> None:
        """The check at the start of a run; answers of canaries that were never asked are kept.

        Raises:
            ModelChangedError: the model is another than the one that the kept answers came from.
        """
        started = time.time()
        new = [name for name in self.outputs if self._read(name) is None]
        if new and self.canaries:
            asked, alone = (self._ask(endpoint, alone=alone) for alone in (False, True))
            for name in new:
                KeptCanaries(asked[name], difference(asked[name], alone[name])).write(self._path(name))
        self.confirm(endpoint, asked if new and self.canaries else None)
        write_atomically(self._begun, str(started).encode())

    @property
    def verified(self) -> float:
        """Until when, in seconds since the epoch, what is kept is known to be of one model when a worker begins."""
        if not self.canaries:
            return time.time()
        return float(self._begun.read_text(encoding="utf-8")) if self._begun.exists() else 0.0

    def confirm(self, endpoint: CanaryEndpoint, asked: Answers | None = None) -> None:
        """Raise `ModelChangedError` where the card, or what the canaries are answered (or `asked`), is another."""
        card = endpoint.read_card()
        if card.identity != self.card.identity:
            raise ModelChangedError(
                f"{self.card.url} serves another model than when the extraction was planned: run the command again to "
                "extract the model that is served now."
            )
        if card.outputs != self.card.outputs:
            raise self._changed("its outputs have other shapes")
        if self.canaries:
            self._compare(endpoint, self._ask(endpoint) if asked is None else asked)

    def _compare(self, endpoint: CanaryEndpoint, asked: Answers) -> None:
        kept = {name: self._kept(name) for name in self.outputs}
        doubtful = [name for name in self.outputs if kept[name].steady and not kept[name].agrees(asked[name])]
        if not doubtful:
            return
        alone = self._ask(endpoint, alone=True)  # whatever else is asked at the same time may make answers unsteadier
        for name in doubtful:
            now = difference(asked[name], alone[name])
            apart = min(difference(answers[name], kept[name].answer) for answers in (asked, alone))
            if not apart <= max(kept[name].tolerance, min(MARGIN * now, LARGEST)):
                taken = datetime.fromtimestamp(kept[name].when, UTC)
                raise self._changed(
                    f"{self.canaries} canary samples have other answers than at {taken:%Y-%m-%d %H:%M} UTC ({name} "
                    f"differs by {apart:.2g} of its norm, {kept[name].tolerance:.2g} is noise)"
                )

    def _ask(self, endpoint: CanaryEndpoint, *, alone: bool = False) -> Answers:
        return endpoint.ask_anew(self.samples(), self.outputs, scope=self.scope, alone=alone)

    def _changed(self, what: str) -> "ModelChangedError":
        return ModelChangedError(
            f"{self.card.url} serves another model than the one whose answers are kept: {what}. Serve that one again "
            "to go on, or run the command with --fresh, which forgets this endpoint's answers, signals and cells."
        )

    @property
    def _begun(self) -> Path:
        return self.folder / "begun"

    def _read(self, output: str) -> KeptCanaries | None:
        return KeptCanaries.read(self._path(output))

    def _kept(self, output: str) -> KeptCanaries:
        """What is kept of an output; where nothing is, what tells no models apart."""
        return self._read(output) or KeptCanaries(np.zeros(0, dtype=np.float32), float("nan"))

    def _path(self, output: str) -> Path:
        name = digest_json([output, digest_arrays(samples=self.samples())])
        return self.folder / f"{name}.safetensors"


class ModelIdentityWatch:
    """Checks, while one worker asks, that the model stays the same: after so many images and after a lost connection.

    What was kept after the last check that passed is not to be trusted when one fails: `folder`/changed then holds the
    time of that check, and `forget_unverified` takes back what was kept since.
    """

    def __init__(self, check: ModelIdentityCheck, interruptions: int) -> None:
        self._check = check
        self._verified = check.verified
        self._since = 0
        self._interruptions = interruptions
        self._lock, self._checking = Lock(), Lock()

    def answered(self, endpoint: CanaryEndpoint, images: int, interruptions: int) -> None:
        """Note that `images` were answered, and check where it is time to.

        Raises:
            ModelChangedError: it is another model.
        """
        with self._lock:
            self._since += images
            if self._since < self._check.every and interruptions == self._interruptions:
                return
            self._interruptions = interruptions
        self.confirm(endpoint)

    def found(self, when: float) -> None:
        """Note an answer that was kept at this time: one that no check came after is confirmed like a new one."""
        with self._lock:
            self._since += when > self._verified

    def confirm(self, endpoint: CanaryEndpoint) -> None:
        """Check, unless nothing was answered since the last time. Raises `ModelChangedError` for another model."""
        with self._checking:
            with self._lock:
                if not self._since:
                    return
                self._since = 0
            started = time.time()
            try:
                self._check.confirm(endpoint)
            except ModelChangedError:
                write_atomically(_mark(self._check.folder), str(self._verified).encode())
                raise
            self._verified = started


def _mark(folder: Path) -> Path:
    return folder / "changed"


def forget_unverified(folder: Path, kept: AnswerStore) -> None:
    """Where a check failed, forget of `kept` what is younger than the last one that passed; `folder` as of the check.

    Only to be called when nobody is asking any more.
    """
    mark = _mark(folder)
    if mark.exists():
        kept.remove_since(float(mark.read_text(encoding="utf-8")))
        mark.unlink()
