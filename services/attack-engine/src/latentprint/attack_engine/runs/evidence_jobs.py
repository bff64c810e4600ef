"""What attacks need made beside answers, planned once for all that need it: distillations and reference models."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from latentprint.attack_engine.attacks.reading import Reading
from latentprint.attack_engine.evidence.needs import References
from latentprint.attack_engine.models.distillation_job import DistillationJob
from latentprint.attack_engine.models.evidence_files import EvidenceFiles, ReferenceFiles
from latentprint.attack_engine.models.job import DISTIL, PLACEBO, REFERENCE, TWIN, VICTIM, ModelJob, ModelStore
from latentprint.attack_engine.models.reference_job import (
    AssumedTraining,
    DistilledReferenceJob,
    SampleSet,
    TrainedReferenceJob,
)
from latentprint.attack_engine.models.stored_answers import StoredAnswers, opened
from latentprint.attack_engine.models.student import StudentSpec
from latentprint.attack_engine.runs.stored_signals import StoredSignals
from latentprint.attack_engine.runs.threat_model import AuditedModel, Model, ThreatModel
from latentprint.core.code_digest import code_digest
from latentprint.core.datasets import Ids
from latentprint.core.digests import digest_arrays, digest_json
from latentprint.core.errors import DataError
from latentprint.core.oip import names

_SIDES: Mapping[Model, str] = {"victim": VICTIM, "twin": TWIN, "placebo": PLACEBO, "shadow": VICTIM}
_BESIDE: Mapping[Model, str] = {"twin": " (untrained)", "placebo": " (placebo)"}

_POPULATION = 2000


@dataclass
class EvidencePlan:
    """The jobs that readings need for their evidence about models.

    Attributes:
        store: where models go.
        signals: answers, by the key of the model that gave them.
        jobs: collected so far.
    """

    store: ModelStore
    signals: Mapping[str, StoredSignals]
    jobs: list[ModelJob] = field(default_factory=list)

    def evidence(self, reading: Reading, threat: ThreatModel, which: Model) -> EvidenceFiles:
        """Where the evidence that `reading` needs about one model will be, once all jobs are done."""
        of = _EvidenceOf(self, reading, threat, which)
        return EvidenceFiles(
            dataset=of.model.dataset,
            signals=of.signal_folders(),
            labels=reading.reads_labels,
            sequence=of.sequence(),
            references=of.references(),
            population=of.query_set.some(_POPULATION) if reading.population else None,
        )


@dataclass(frozen=True)
class _EvidenceOf:
    """What one reading needs about one model."""

    plan: EvidencePlan
    reading: Reading
    threat: ThreatModel
    which: Model

    @property
    def model(self) -> AuditedModel:
        return self.threat.model(self.which)

    @property
    def query_set(self) -> StoredAnswers:
        """The distillation samples with the model's answers."""
        auxiliary = self.threat.target.auxiliary
        if auxiliary is None or not len(auxiliary.split.distillation):
            raise DataError(
                f"{self.reading.name} imitates the victim: give the split of {self.threat.target.name!r} "
                "distillation samples."
            )
        return self._answers(SampleSet(auxiliary.dataset, auxiliary.split.distillation), distillation=True)

    @property
    def _asked(self) -> Ids:
        """What the model was asked about; of an encoder beside the victim, no candidates."""
        return self.model.split.sample_id if self.which in _BESIDE else self.model.split.asked

    def signal_folders(self) -> dict[str, Path]:
        """Where the signals lie, by name."""
        stored, side = self.plan.signals[self.model.key], _SIDES[self.which]
        return {
            signal.name: stored.extraction(signal, side, distillation=False).plan.folder
            for signal in self.reading.signals
        }

    def sequence(self) -> Path | None:
        """Where the sequences of the distilled snapshots will be."""
        options = self.reading.distillation
        if options is None:
            return None
        query_set = self.query_set.some(options.size)
        audited = self._answers(SampleSet(self.model.dataset, self._asked), distillation=False)
        candidates = [digest_arrays(ids=self.model.split.candidates)] if len(self.model.split.candidates) else []
        digest = self._digest(DistillationJob, asdict(options), asdict(self._student()), query_set, *candidates)
        title = f"distil {self.model.name}{_BESIDE.get(self.which, '')}"
        folder = self.plan.store.folder(DISTIL, digest)
        job = DistillationJob(title, options, self._student(), query_set, audited, self.model.seed, folder, digest)
        self.plan.jobs.append(job)
        return job.result

    def references(self) -> ReferenceFiles | None:
        """Where the references' logits will be."""
        wanted = self.reading.references
        if wanted is None:
            return None
        return self._distilled(wanted) if wanted.kind == "distilled" else self._trained(wanted)

    def _trained(self, wanted: References) -> ReferenceFiles:
        threat, seed = self.threat, self.threat.target.seed
        pool, like = threat.pool(wanted), threat.imitated
        queried = (threat.audited_samples, threat.auxiliary_samples)
        choice = like.choice
        validation = threat.validation(pool)
        training = AssumedTraining(
            choice.recipe, choice.options, choice.epochs, choice.defences, threat.members, validation
        )
        samples = [_described(part) for part in (pool, *queried)]
        described = {**asdict(training), "validation": digest_arrays(ids=validation)}
        digest = digest_json([described, samples, seed, like.code, code_digest(TrainedReferenceJob)])
        folder = self.plan.store.folder(REFERENCE, digest)
        self.plan.jobs += [
            TrainedReferenceJob("references", number, training, pool, queried, seed, folder)
            for number in range(wanted.count)
        ]
        return ReferenceFiles(folder, wanted.count)

    def _distilled(self, wanted: References) -> ReferenceFiles:
        options, query_set, seed = wanted.distillation, self.query_set, self.model.seed
        queried = (SampleSet(self.model.dataset, self._asked),)
        student = self._student()
        digest = self._digest(
            DistilledReferenceJob, asdict(options), asdict(student), query_set, _described(queried[0])
        )
        folder, title = self.plan.store.folder(REFERENCE, digest), f"distilled references of {self.model.name}"
        self.plan.jobs += [
            DistilledReferenceJob(title, number, options, student, query_set, queried, seed, folder)
            for number in range(wanted.count)
        ]
        return ReferenceFiles(folder, wanted.count)

    def _student(self) -> StudentSpec:
        """Of the shadow model's architecture, or without one of the victim's own, as its card says it."""
        card = self.plan.signals[self.threat.model("shadow").key].card
        arguments = json.loads(card["properties"].get(names.MODEL_ARGS, "{}"))
        return StudentSpec(str(card["architecture"]), arguments)

    def _answers(self, samples: SampleSet, *, distillation: bool) -> StoredAnswers:
        stored = self.plan.signals[self.model.key]
        (signal,) = self.reading.signals
        extraction = stored.extraction(signal, _SIDES[self.which], distillation=distillation)
        shape = tuple(stored.card["outputs"][signal.outputs[0]])
        return StoredAnswers(samples.dataset, samples.ids, extraction.plan.folder, shape)

    def _digest(self, kind: type, options: object, student: object, query_set: StoredAnswers, *further: object) -> str:
        """Of what a `kind` of job makes: its code compares samples, too, so that mended metrics compare anew."""
        ids = digest_arrays(ids=query_set.ids)
        return digest_json([options, student, query_set.folder.name, ids, self.model.seed, code_digest(kind), further])


def _described(samples: SampleSet) -> list[object]:
    """By content: what lies at the place that a data set's options name may have changed."""
    return [opened(samples.dataset).digest, digest_arrays(ids=samples.ids)]
