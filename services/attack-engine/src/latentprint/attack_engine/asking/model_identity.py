"""Whether an endpoint still serves the model that the kept answers came from: its card, and canaries asked again."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.endpoint import Answers, EndpointCard
from latentprint.attack_engine.asking.kept_answers import KeptAnswers
from latentprint.core.digests import digest_arrays, digest_json
from latentprint.core.errors import EndpointError
from latentprint.core.files import write_atomically
from latentprint.core.samples import Samples, is_vector

CANARIES = 4
EVERY = 1_000
FLOOR = 1e-3  # relative: fp32 answers change by 5e-7 with the batch that they travel in, reduced precision by more
MARGIN = 4.0  # bf16 answers change by 0.5 to 0.8 %; what two askings at once differ by is multiplied by this
LARGEST = 0.5  # answers that change by as much as this between two askings cannot tell one model from another
_SEED, _CELLS = 20_240_731, 8


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
        known = all(self._answers.read(self._key(name)) is not None for name in self.outputs)
        return self.images if known else self.images + self.canaries * (self.card.batch or 1)

    @property
    def images(self) -> int:
        """Images that one check asks: the canaries, and what fills up batches where none but full ones are taken."""
        full = self.card.batch or 1
        return -(-self.canaries // full) * full

    def samples(self) -> Samples:
        """The canaries, the same for every run: uint8 [C, H, W, 3] of coloured patches, or float32 [C, F] in [0, 1]."""
        rng = np.random.default_rng([_SEED, *self.sample_shape])
        if is_vector(self.sample_shape):
            return rng.random((self.canaries, *self.sample_shape), dtype=np.float32)
        patches = rng.integers(0, 256, (self.canaries, _CELLS, _CELLS, 3), dtype=np.uint8)
        rows, columns = (np.arange(side) * _CELLS // side for side in self.sample_shape[:2])
        return np.ascontiguousarray(patches[:, rows][:, :, columns])

    def begin(self, endpoint: CanaryEndpoint) -> None:
        """The check at the start of a run; answers of canaries that were never asked are kept.

        Raises:
            ModelChangedError: the model is another than the one that the kept answers came from.
        """
        started = time.time()
        new = [name for name in self.outputs if self._answers.read(self._key(name)) is None]
        if new and self.canaries:
            asked, alone = (self._ask(endpoint, alone=alone) for alone in (False, True))
            for name in new:
                spread = np.array([difference(asked[name], alone[name])], dtype=np.float32)
                self._answers.write(self._key(name), {"answer": asked[name], "spread": spread})
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

    @property
    def _answers(self) -> KeptAnswers:
        return KeptAnswers(self.folder)

    def _key(self, output: str) -> str:
        return digest_json([output, digest_arrays(samples=self.samples())])

    def _kept(self, output: str) -> "KeptCanaries":
        found = self._answers.read(self._key(output))
        if found is None:
            return KeptCanaries(np.zeros(0, dtype=np.float32), float("nan"), 0.0)
        return KeptCanaries(found["answer"], float(found["spread"][0]), self._answers.taken(self._key(output)) or 0.0)


@dataclass(frozen=True)
class KeptCanaries:
    """What the canaries were answered, by how much two askings at once differed, and when (seconds since the epoch)."""

    answer: NDArray[np.float32]
    spread: float
    when: float

    @property
    def tolerance(self) -> float:
        """Relative difference that is no change of the model."""
        return max(FLOOR, MARGIN * self.spread)

    @property
    def steady(self) -> bool:
        """Whether answers are steady enough to tell models apart."""
        return MARGIN * self.spread < LARGEST

    def agrees(self, answer: NDArray[np.float32]) -> bool:
        """Whether `answer` is the kept one but for noise."""
        return difference(answer, self.answer) <= self.tolerance


def difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Largest relative difference over samples [C, ...], in the Euclidean norm; infinite between other shapes."""
    if one.shape != other.shape:
        return float("inf")
    a, b = (answers.reshape(len(answers), -1).astype(np.float64) for answers in (one, other))
    norm = np.maximum(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
    apart = np.linalg.norm(a - b, axis=1)
    return float(np.divide(apart, norm, out=np.zeros_like(apart), where=norm != 0).max())


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


def forget_unverified(folder: Path, kept: Iterable[KeptAnswers]) -> None:
    """Where a check failed, forget of `kept` what is younger than the last one that passed; `folder` as of the check.

    Only to be called when nobody is asking any more.
    """
    mark = _mark(folder)
    if not mark.exists():
        return
    for answers in kept:
        answers.remove_since(float(mark.read_text(encoding="utf-8")))
    mark.unlink()
