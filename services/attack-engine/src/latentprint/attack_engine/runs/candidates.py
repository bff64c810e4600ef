"""A candidate of a search: a defended victim, attacked in this process on the known samples alone."""

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.plan import plan_extraction
from latentprint.attack_engine.asking.worker import ShardWorker, tasks_of
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.fitting.scoring import cross_validated_auc
from latentprint.attack_engine.inference.over_draws import Draws
from latentprint.attack_engine.models.evidence_files import EvidenceFiles
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.victims import VictimJob
from latentprint.core.bundles import read_card
from latentprint.core.code_digest import code_digest
from latentprint.core.config import from_mapping
from latentprint.core.datasets import Ids
from latentprint.core.digests import digest_json
from latentprint.core.files import write_atomically
from latentprint.core.splits import KNOWN

_FOLDS = 4  # what a seed is used for tells its streams apart; audits use 1 to 3


@dataclass(frozen=True)
class Measured:
    """What a search knows of a candidate: see `Tried`."""

    auc: float
    probe_accuracy: float | None


@dataclass(frozen=True)
class Candidate:
    """A defended victim to be measured, with everything that the measurement depends on."""

    lower: float
    job: VictimJob
    attack: Attack
    seed: int
    layout: Layout

    @cached_property
    def path(self) -> Path:
        """Where the measurement is kept, by its content."""
        code = code_digest(cross_validated_auc, EvidenceFiles, probe_accuracy, *self.attack.parts)
        return self.layout.candidate(digest_json([self.job.key, self.attack.options, self.seed, code]))

    @property
    def measured(self) -> Measured | None:
        """The measurement, where it was made before."""
        if not self.path.exists():
            return None
        return from_mapping(Measured, json.loads(self.path.read_text(encoding="utf-8")), str(self.path))

    def measure(self) -> Measured:
        """Attack the trained candidate, and keep the measurement. No evaluated sample is asked for.

        Raises:
            UsageError: the victim does not offer an output that the attack asks for.
        """
        split = self.job.split
        known = split.role == KNOWN
        features = self._features(split.sample_id[known])
        rng = np.random.default_rng([self.seed, _FOLDS])
        auc = cross_validated_auc(self.attack.over_draws, features, split.member[known], rng)
        measured = Measured(auc, probe_accuracy(self.job))
        write_atomically(self.path, json.dumps(asdict(measured)).encode())
        return measured

    def _features(self, ids: Ids) -> Draws:
        """The attack's features of `ids`, asked shard by shard of the bundle itself; what is there is not asked for."""
        endpoint = EndpointSpec(f"local:{self.job.folder}", threads=1)
        folder = self.layout.signals(self.job.key) / "search"
        plan = plan_extraction(self.attack.signals, self.job.dataset, ids, endpoint, folder)
        worker = ShardWorker([plan])
        try:
            for task in tasks_of([plan]):
                worker.run(task)
        finally:
            worker.close()
        folders = {planned.signal.name: planned.folder for planned in plan.signals}
        return self.attack.features(
            EvidenceFiles(self.job.dataset, folders, self.attack.reading.reads_labels).read(ids)
        )


def probe_accuracy(job: VictimJob) -> float | None:
    """A trained victim's linear-probe accuracy, as a fraction; None where its data set has no classes to tell."""
    value = read_card(job.folder).training.get("probe_accuracy")
    return None if value is None else float(value)
