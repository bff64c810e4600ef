"""Fitting cells: each a task of its own on Ray, written when it is done."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.fitting.audit_scores import ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import ShadowModel, knowledge_of
from latentprint.attack_engine.attacks.fitting.sweeps import SweepChoice
from latentprint.attack_engine.audits.gather import PLACEBO, TWIN, VICTIM, Gathered
from latentprint.attack_engine.audits.store import StoredCell, write_cell
from latentprint.attack_engine.models.distillation_job import DistillationWork
from latentprint.attack_engine.models.evidence_files import EvidenceFiles
from latentprint.attack_engine.models.reference_job import DistilledReference, TrainedReference
from latentprint.attack_engine.runs.display import bars
from latentprint.core.code_digest import code_digest
from latentprint.core.datasets import DatasetSpec
from latentprint.core.errors import LatentprintError
from latentprint.core.splits import read_split

# What a stored cell holds is computed by these and by the attack's own classes: what was asked and prepared is read,
# fits and figures' data are made of it, and the file has a form. Judging comes later, anew in every report.
_FITTING = (fit_and_score, EvidenceFiles, write_cell)
EvidenceBySide = Mapping[str, EvidenceFiles]


def cell_code(attack: Attack) -> str:
    """Digest of the code that the scores of `attack` depend on: how it is fitted, itself, and what it has prepared."""
    reading, prepared = attack.reading, list[type]()
    if reading.distillation is not None:
        prepared.append(DistillationWork)
    if reading.references is not None:
        prepared.append(DistilledReference if reading.references.kind == "distilled" else TrainedReference)
    return code_digest(*_FITTING, *attack.parts, *prepared)


@dataclass(frozen=True)
class ShadowWork:
    """Where the evidence about a shadow encoder is, and who is a member of it."""

    attack: Attack
    evidence: EvidenceFiles
    split_path: Path

    def read(self) -> ShadowModel:
        """All its samples: an adversary knows the membership of an encoder that it trained itself."""
        split = read_split(self.split_path)
        return ShadowModel(self.attack, self.evidence.read(split.sample_id), split.member)


@dataclass(frozen=True)
class CellWork:
    """One attack on one victim to fit: small, picklable, with the evidence on disk.

    Attributes:
        attack: as it is asked of the victim.
        split_path: of the samples.
        evidence: by side: the victim, and the encoders beside it that there are.
        treated: the same with the samples treated differently.
        shadow: what the attack is fitted on; None for known samples, or nothing.
        sweeps: what to repeat with less.
        seed: of every fit.
        queries, card: what was asked of the victim, and its card as plain data.
        folder: where the scores go.
    """

    attack: Attack
    split_path: Path
    evidence: EvidenceBySide
    treated: EvidenceBySide
    shadow: ShadowWork | None
    sweeps: SweepChoice
    seed: int
    queries: Queries
    card: Mapping[str, Any]
    folder: Path

    def fit(self) -> StoredCell:
        """Read the evidence, fit, score."""
        split = read_split(self.split_path)
        evidence = {side: files.read(split.sample_id) for side, files in self.evidence.items()}
        scores = fit_and_score(
            self.attack,
            split,
            evidence[VICTIM],
            ControlEvidence(evidence.get(TWIN), evidence.get(PLACEBO)),
            knowledge_of(self.attack, None if self.shadow is None else self.shadow.read()),
            self.seed,
            sweeps=self.sweeps,
            treated={side: files.read(split.sample_id) for side, files in self.treated.items()},
        )
        return StoredCell(scores, self.queries, self.card)


def gathered_evidence(
    attack: Attack, gathered: Gathered, dataset: DatasetSpec, *, treated: bool = False
) -> dict[str, EvidenceFiles]:
    """Where what was gathered for `attack` lies, by side, of those that were asked."""
    folders = {side: gathered.folders(attack, side, treated=treated) for side in (VICTIM, TWIN, PLACEBO)}
    labels = attack.reading.reads_labels
    return {side: EvidenceFiles(dataset, asked, labels) for side, asked in folders.items() if asked}


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
