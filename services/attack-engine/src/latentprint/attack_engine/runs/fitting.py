"""Fitting cells: each a task of its own on Ray, written when it is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.fitting.cell import (
    Cell,
    Encoders,
    make_cell,
    make_shadow_cell,
    make_unfitted_cell,
)
from latentprint.attack_engine.attacks.fitting.extracted import Extracted, Shadow
from latentprint.attack_engine.attacks.fitting.sweeps import NO_SWEEPS, SweepChoice
from latentprint.attack_engine.audits.gather import PLACEBO, TWIN, VICTIM, Gathered, read_extracted
from latentprint.attack_engine.audits.store import StoredCell, write_cell
from latentprint.attack_engine.models.distillation_job import DistillationWork
from latentprint.attack_engine.models.evidence_files import EvidenceFiles
from latentprint.attack_engine.models.reference_job import DistilledReference, TrainedReference
from latentprint.attack_engine.runs.display import bars
from latentprint.core.code_digest import code_digest
from latentprint.core.errors import LatentprintError
from latentprint.core.splits import Split, read_split

# What a stored cell holds is computed by these and by the attack's own classes: what was asked and prepared is read,
# fits and figures' data are made of it, and the file has a form. Judging comes later, anew in every report.
_FITTING = (make_cell, make_shadow_cell, make_unfitted_cell, read_extracted, write_cell)
_Folders = tuple[Path, ...]
NOTHING_PREPARED: Mapping[str, EvidenceFiles | None] = {}


def cell_code(attack: Attack) -> str:
    """Digest of the code that the scores of `attack` depend on: how it is fitted, itself, and what it has prepared."""
    reading, prepared = attack.reading, list[type]()
    if reading is not None and reading.distillation is not None:
        prepared.append(DistillationWork)
    if reading is not None and reading.references is not None:
        prepared.append(DistilledReference if reading.references.kind == "distilled" else TrainedReference)
    return code_digest(*_FITTING, *attack.parts, *prepared)


@dataclass(frozen=True)
class ShadowWork:
    """Where a shadow encoder's signals are, and who is a member of it."""

    attack: Attack
    folders: _Folders
    split_path: Path
    evidence: EvidenceFiles | None = None

    @classmethod
    def of(
        cls, attack: Attack, gathered: Gathered, split_path: Path, evidence: EvidenceFiles | None = None
    ) -> "ShadowWork":
        """The shadow encoder's part of a cell."""
        return cls(attack, _folders(gathered, attack, VICTIM), split_path, evidence)

    def read(self) -> Shadow:
        """All its samples: an adversary knows the membership of an encoder that it trained itself."""
        split = read_split(self.split_path)
        return Shadow(self.attack, read_extracted(self.folders, split.sample_id, self.evidence), split.member)


@dataclass(frozen=True)
class CellWork:
    """One cell to fit: small, picklable, with the signals on disk."""

    attack: Attack
    split_path: Path
    victim: _Folders
    twin: _Folders | None
    placebo: _Folders | None
    treated: Mapping[str, _Folders]
    shadow: ShadowWork | None
    sweeps: SweepChoice
    seed: int
    queries: Queries
    card: Mapping[str, Any]
    folder: Path
    evidence: Mapping[str, EvidenceFiles | None]

    @classmethod
    def of(
        cls,
        attack: Attack,
        gathered: Gathered,
        split_path: Path,
        seed: int,
        folder: Path,
        *,
        sweeps: SweepChoice = NO_SWEEPS,
        treated: bool = False,
        shadow: ShadowWork | None = None,
        evidence: Mapping[str, EvidenceFiles | None] = NOTHING_PREPARED,
    ) -> "CellWork":
        """The cell of `attack` on what was gathered and prepared (by side), to be written to `folder`."""
        unlike = {side: gathered.folders(attack, side, treated=True) for side in (VICTIM, TWIN) if treated}
        return cls(
            attack=attack,
            split_path=split_path,
            victim=_folders(gathered, attack, VICTIM),
            twin=gathered.folders(attack, TWIN),
            placebo=gathered.folders(attack, PLACEBO),
            treated={side: folders for side, folders in unlike.items() if folders},
            shadow=shadow,
            sweeps=sweeps,
            seed=seed,
            queries=gathered.queries(attack),
            card=gathered.card,
            folder=folder,
            evidence=evidence,
        )

    def fit(self) -> StoredCell:
        """Read the signals, fit, score."""
        return StoredCell(self._cell(read_split(self.split_path)), self.queries, self.card)

    def _cell(self, split: Split) -> Cell:
        def read(folders: _Folders, side: str = "") -> Extracted:
            return read_extracted(folders, split.sample_id, self.evidence.get(side))

        victim = read(self.victim, VICTIM)
        beside = Encoders(
            read(self.twin, TWIN) if self.twin else None,
            read(self.placebo, PLACEBO) if self.placebo else None,
        )
        if self.attack.unfitted:
            return make_unfitted_cell(self.attack, split, victim, beside, self.seed)
        if self.shadow is not None:
            return make_shadow_cell(self.attack, split, victim, beside, self.shadow.read(), self.seed)
        treated = {side: read(folders) for side, folders in self.treated.items()}
        return make_cell(self.attack, split, victim, beside, self.seed, sweeps=self.sweeps, treated=treated)


def fit_cells(work: Sequence[CellWork], console: Console) -> None:
    """Fit the cells side by side on the Ray cluster that this process is connected to; each is written when done.

    Raises:
        LatentprintError: whatever a cell ran into; the others that were done are kept.
    """
    distinct = {cell.folder: cell for cell in work}.values()  # one attack under two names is one cell
    waiting = [_fit.remote(cell) for cell in distinct]
    with bars(console) as progress:
        bar = progress.add_task("fit", total=len(distinct), rate="")
        try:
            while waiting:
                done, waiting = ray.wait(waiting)
                for reference in done:
                    _raise(ray.get(reference))
                    progress.advance(bar)
        finally:
            for reference in waiting:
                ray.cancel(reference)


@ray.remote(max_retries=2)
def _fit(work: CellWork) -> LatentprintError | None:
    """Fit one cell and write it. A `LatentprintError` is returned, so that it arrives as what it is."""
    try:
        write_cell(work.fit(), work.folder)
    except LatentprintError as error:
        return error
    return None


def _raise(error: LatentprintError | None) -> None:
    if error is not None:
        raise error


def _folders(gathered: Gathered, attack: Attack, side: str) -> _Folders:
    folders = gathered.folders(attack, side)
    if folders is None:
        raise ValueError(f"nothing was gathered of the {side} for {attack.name}")
    return folders
