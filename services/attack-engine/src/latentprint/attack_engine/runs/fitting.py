"""Fitting a cell: a task of its own, written when it is done."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.fitting.attribute_scores import infer_attribute
from latentprint.attack_engine.attacks.fitting.audit_scores import AuditScores, ControlEvidence, fit_and_score
from latentprint.attack_engine.attacks.fitting.knowledge import ShadowModel, knowledge_of
from latentprint.attack_engine.attacks.fitting.stored_scores import SCORES, StoredScores, is_written, write_cell
from latentprint.attack_engine.attacks.fitting.sweeps import SweepChoice
from latentprint.attack_engine.evidence.types import Evidence
from latentprint.attack_engine.models.distillation_job import DistillationJob
from latentprint.attack_engine.models.evidence_files import EvidenceFiles
from latentprint.attack_engine.models.job import ORIGINAL, PLACEBO, TWIN, VICTIM
from latentprint.attack_engine.models.reference_job import DistilledReferenceJob, TrainedReferenceJob
from latentprint.attack_engine.models.stored_answers import opened
from latentprint.attack_engine.scheduling.task import FITTING, TaskProgress
from latentprint.core.code_digest import code_digest
from latentprint.core.files import write_atomically
from latentprint.core.split_files import read_split
from latentprint.core.splits import Split
from latentprint.core.tracking import now

# What a stored cell holds is computed by these and by the attack's own classes: what was asked and prepared is read,
# fits and figures' data are made of it, and the file has a form. Judging comes later, anew in every report.
_FITTING = (fit_and_score, EvidenceFiles, write_cell)
TIMES = "times.json"
EvidenceBySide = Mapping[str, EvidenceFiles]


def cell_code(attack: Attack) -> str:
    """Digest of the code that the scores of `attack` depend on: how it is fitted, itself, and what it has prepared."""
    reading, prepared = attack.reading, list[type]()
    if reading.distillation is not None:
        prepared.append(DistillationJob)
    if reading.references is not None:
        prepared.append(DistilledReferenceJob if reading.references.kind == "distilled" else TrainedReferenceJob)
    inference = [infer_attribute] if reading.inferred else []
    return code_digest(*_FITTING, *attack.parts, *prepared, *inference)


@dataclass(frozen=True)
class ShadowEvidence:
    """Where the evidence about a shadow encoder is, and who is a member of it."""

    attack: Attack
    evidence: EvidenceFiles
    split_path: Path

    def read(self) -> ShadowModel:
        """All its samples: an adversary knows the membership of an encoder that it trained itself."""
        split = read_split(self.split_path)
        return ShadowModel(self.attack, self.evidence.read_split(split), self.attack.rows(split).member)


@dataclass(frozen=True)
class CellTask:
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
    shadow: ShadowEvidence | None
    sweeps: SweepChoice
    seed: int
    queries: Queries
    card: Mapping[str, Any]
    folder: Path
    title = "fit"
    limit = FITTING
    cores = 1.0
    on_gpu = False
    needs = ()
    work = ()

    @property
    def key(self) -> str:
        """See `Task.key`."""
        return str(self.folder)

    @property
    def reads(self) -> Sequence[Path]:
        """See `Task.reads`."""
        files = [*self.evidence.values(), *self.treated.values()]
        shadow = () if self.shadow is None else (self.shadow.split_path, *self.shadow.evidence.places)
        return (self.split_path, *(place for one in files for place in one.places), *shadow)

    @property
    def result(self) -> Path:
        """See `Task.result`."""
        return self.folder

    @property
    def finished(self) -> bool:
        """See `Task.finished`."""
        return is_written(self.folder)

    def progress(self) -> TaskProgress:
        """See `Task.progress`."""
        return TaskProgress(float(self.finished), unit="cells")

    def make(self) -> None:
        """See `Task.make`: read the evidence, fit, score, write the cell, and beside it when that was."""
        started = now()
        split = read_split(self.split_path)
        evidence = {side: files.read_split(split) for side, files in self.evidence.items()}
        beside = ControlEvidence(*(evidence.get(side) for side in (TWIN, PLACEBO, ORIGINAL)))
        write_cell(StoredScores(self._scores(split, evidence, beside), self.queries, self.card), self.folder)
        write_atomically(self.folder / TIMES, json.dumps([started, now()]).encode())

    def _scores(self, split: Split, evidence: Mapping[str, Evidence], beside: ControlEvidence) -> AuditScores:
        if self.attack.reading.inferred:
            dataset = opened(self.evidence[VICTIM].dataset)
            return infer_attribute(self.attack, split, dataset, evidence[VICTIM], beside, self.seed)
        return fit_and_score(
            self.attack,
            split,
            evidence[VICTIM],
            beside,
            knowledge_of(self.attack, None if self.shadow is None else self.shadow.read()),
            self.seed,
            sweeps=self.sweeps,
            treated={side: files.read_split(split) for side, files in self.treated.items()},
            candidates=self.evidence[VICTIM].read(split.candidates) if len(split.candidates) else None,
        )


def fitted_at(folder: Path) -> tuple[int, int]:
    """When the cell in `folder` began to be fitted, and when it was done, milliseconds since 1970."""
    try:
        started, ended = json.loads((folder / TIMES).read_bytes())
    except FileNotFoundError:  # the fitting process was killed in between
        started = ended = round((folder / SCORES).stat().st_mtime * 1000)
    return started, ended
