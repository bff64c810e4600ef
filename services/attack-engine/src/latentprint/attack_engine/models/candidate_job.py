"""A candidate of a search: a defended victim, attacked where it is made, on the known samples alone."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.plan import plan_extraction
from latentprint.attack_engine.asking.worker import extract_here
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.fitting.scoring import cross_validated_auc
from latentprint.attack_engine.inference.over_draws import Draws
from latentprint.attack_engine.models.evidence_files import EvidenceFiles
from latentprint.attack_engine.models.job import CANDIDATE
from latentprint.attack_engine.models.victim import VictimJob
from latentprint.attack_engine.scheduling.task import MAKING, TaskProgress
from latentprint.core.bundles import read_card
from latentprint.core.code_digest import code_digest
from latentprint.core.config import from_mapping
from latentprint.core.datasets import Ids
from latentprint.core.digests import digest_json
from latentprint.core.files import write_atomically
from latentprint.core.splits import KNOWN

_SEARCH = "search"
_FOLDS = 4  # what a seed is used for tells its streams apart; audits use 1 to 3


@dataclass(frozen=True)
class CandidateMeasurement:
    """What a search knows of a candidate.

    Attributes:
        auc: of its attack, cross-validated over the known samples.
        probe_accuracy: of its linear probe, as a fraction; None where its data set has no classes to tell.
    """

    auc: float
    probe_accuracy: float | None


@dataclass(frozen=True)
class CandidateJob:
    """A defended victim to be measured, with everything that the measurement depends on.

    Attributes:
        lower: the defence's bound.
        training: of the candidate.
        attack: that it is measured with.
        seed: of the attack's fits.
        signals: the candidate's folder of signals.
    """

    lower: float
    training: VictimJob
    attack: Attack
    seed: int
    signals: Path
    kind = CANDIDATE
    limit = MAKING
    cores = 1.0
    on_gpu = False

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) of the candidate's weights, the attack, its code and the seed."""
        code = code_digest(cross_validated_auc, EvidenceFiles, probe_accuracy, *self.attack.parts)
        return digest_json([self.training.key, self.attack.options, self.seed, code])

    @property
    def title(self) -> str:
        """See `Task.title`."""
        return f"measure {self.training.name}"

    @property
    def needs(self) -> tuple[VictimJob]:
        """See `Task.needs`: it is trained first."""
        return (self.training,)

    @property
    def folder(self) -> Path:
        """See `ModelJob.folder`: a file, for the measurement is all that is kept."""
        return self.training.store.folder(self.kind, self.key).with_suffix(".json")

    @property
    def reads(self) -> Sequence[Path]:
        """See `Task.reads`."""
        return (self.training.folder,)

    @property
    def work(self) -> Sequence[Path]:
        """See `Task.work`."""
        return (self.signals / _SEARCH,)

    @property
    def result(self) -> Path:
        """See `Task.result`."""
        return self.folder

    @property
    def finished(self) -> bool:
        """See `Task.finished`."""
        return self.folder.exists()

    def progress(self) -> TaskProgress:
        """See `Task.progress`."""
        return TaskProgress(float(self.finished))

    def measurement(self) -> CandidateMeasurement:
        """The measurement, once the job is finished."""
        return from_mapping(CandidateMeasurement, json.loads(self.folder.read_text(encoding="utf-8")), str(self.folder))

    def make(self) -> None:
        """See `Task.make`: attack the trained candidate, and keep the measurement. No evaluated sample is asked for.

        Raises:
            UsageError: the victim does not offer an output that the attack asks for.
        """
        split = self.training.split
        known = split.role == KNOWN
        features = self._features(split.sample_id[known])
        rng = np.random.default_rng([self.seed, _FOLDS])
        auc = cross_validated_auc(self.attack.over_draws, features, split.member[known], rng)
        measured = CandidateMeasurement(auc, probe_accuracy(self.training))
        write_atomically(self.folder, json.dumps(asdict(measured)).encode())

    def _features(self, ids: Ids) -> Draws:
        """The attack's features of `ids`, asked shard by shard of the bundle itself; what is there is not asked for."""
        endpoint = EndpointSpec(f"local:{self.training.folder}", threads=1)
        plan = plan_extraction(self.attack.signals, self.training.dataset, ids, endpoint, self.signals / _SEARCH)
        extract_here([plan])
        folders = {planned.signal.name: planned.folder for planned in plan.signals}
        files = EvidenceFiles(self.training.dataset, folders, self.attack.reading.reads_labels)
        return self.attack.features(files.read(ids))


def probe_accuracy(job: VictimJob) -> float | None:
    """A trained victim's linear-probe accuracy, as a fraction; None where its data set has no classes to tell."""
    value = read_card(job.folder).training.get("probe_accuracy")
    return None if value is None else float(value)
