"""What attacks need beside answers, made once for all cells that need it: distillations and reference models."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from latentprint.attack_engine.attacks.reading import Reading
from latentprint.attack_engine.audits.gather import PLACEBO, TWIN, VICTIM, Gathered
from latentprint.attack_engine.evidence.needs import References
from latentprint.attack_engine.models.distillation_job import DistillationWork
from latentprint.attack_engine.models.evidence_files import EvidenceFiles, ReferenceFiles
from latentprint.attack_engine.models.reference_job import DistilledReference, Samples, TrainedReference, Upbringing
from latentprint.attack_engine.models.stored_answers import StoredAnswers, opened
from latentprint.attack_engine.models.student import StudentSpec
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.victims import VictimJob
from latentprint.core.code_digest import code_digest
from latentprint.core.datasets import Ids
from latentprint.core.digests import digest_arrays, digest_json
from latentprint.core.errors import DataError
from latentprint.core.oip import names

Work = DistillationWork | TrainedReference | DistilledReference
Model = Literal["target", "twin", "placebo", "shadow"]
_SIDES: Mapping[Model, str] = {"target": VICTIM, "twin": TWIN, "placebo": PLACEBO, "shadow": VICTIM}
_BESIDE: Mapping[Model, str] = {"twin": " (untrained)", "placebo": " (placebo)"}
_POPULATION = 2000


@dataclass(frozen=True)
class Case:
    """A victim and what its adversary trains in its likeness.

    Attributes:
        target: the victim; its partition says what the adversary has.
        shadow: the adversary's shadow model; None where the adversary knows samples of the victim instead.
    """

    target: VictimJob
    shadow: VictimJob | None

    @property
    def likeness(self) -> VictimJob:
        """Whose architecture and training the adversary's own models have."""
        return self.shadow or self.target

    @property
    def alike(self) -> bool:
        """Whether the adversary's models are made as the victim is."""
        return self.shadow is None or self.shadow.is_trained_as(self.target)

    @property
    def lesson(self) -> str:
        """Which adversary's samples the encoders are asked about beside the audited ones."""
        return self.target.adversary_digest

    def job(self, model: Model) -> VictimJob:
        """The encoder that is meant."""
        if model == "shadow":
            return self.likeness
        return self.target

    @property
    def owned(self) -> Samples:
        """The audited samples."""
        return Samples(self.target.dataset, self.target.split.sample_id)

    @property
    def theirs(self) -> Samples:
        """All that the adversary has: the shadow model's samples, and those it distils with."""
        adversary = self.target.adversary
        if adversary is None:
            raise DataError(f"The split of {self.target.choice.name!r} gives the adversary no samples.")
        return Samples(adversary.dataset, np.concatenate([adversary.split.sample_id, adversary.split.distillation]))

    def pool(self, references: References) -> Samples:
        """What each of the trained references has a part of."""
        return self.owned if references.online else self.theirs

    @property
    def members(self) -> int:
        """How many samples the victim was trained on, and so each reference."""
        return len(self.target.split.ids(member=True))

    def validation(self, pool: Samples) -> Ids:
        """What a reference trained on a part of `pool` has beside it, int64; of the same data set."""
        adversary = self.target.adversary
        if adversary is None or adversary.dataset != pool.dataset:
            return np.zeros(0, dtype=np.int64)
        return adversary.split.validation


@dataclass
class Workshop:
    """Collects what has to be made; the same thing is made once, whoever asks for it.

    Attributes:
        layout: where things go.
        gathered: answers by the key of the encoder that gave them, and the lesson that it was asked about.
        works: by their place on disk.
    """

    layout: Layout
    gathered: Mapping[tuple[str, str], Gathered]
    works: dict[tuple[Path, int], Work] = field(default_factory=dict)

    @property
    def missing(self) -> list[Work]:
        """What is not there yet."""
        return [work for work in self.works.values() if not work.finished]

    def evidence(self, reading: Reading, case: Case, model: Model) -> EvidenceFiles:
        """Where the evidence that `reading` needs about one model will be, once all works are done."""
        prepared = _Prepared(self, reading, case, model)
        return EvidenceFiles(
            dataset=case.job(model).dataset,
            signals=prepared.signals(),
            labels=reading.reads_labels,
            sequence=prepared.sequence(),
            references=prepared.references(),
            population=prepared.lesson.some(_POPULATION) if reading.population else None,
        )

    def add(self, work: Work, number: int = 0) -> None:
        """Have something made."""
        self.works.setdefault((work.folder, number), work)


@dataclass(frozen=True)
class _Prepared:
    """What one reading needs about one model."""

    shop: Workshop
    reading: Reading
    case: Case
    model: Model

    @property
    def job(self) -> VictimJob:
        return self.case.job(self.model)

    @property
    def lesson(self) -> StoredAnswers:
        """The distillation samples with the model's answers."""
        adversary = self.case.target.adversary
        if adversary is None or not len(adversary.split.distillation):
            raise DataError(
                f"{self.reading.name} imitates the victim: give the split of {self.case.target.choice.name!r} "
                "distillation samples."
            )
        return self._asked(Samples(adversary.dataset, adversary.split.distillation), distillation=True)

    def signals(self) -> dict[str, Path]:
        """Where the signals lie, by name."""
        gathered = self.shop.gathered[self.job.key, self.case.lesson]
        side = _SIDES[self.model]
        return {
            signal.name: gathered.extraction(signal, side, distillation=False).plan.folder
            for signal in self.reading.signals
        }

    def sequence(self) -> Path | None:
        """Where the sequences of the distilled snapshots will be."""
        options = self.reading.distillation
        if options is None:
            return None
        lesson = self.lesson.some(options.size)
        judged = self._asked(Samples(self.job.dataset, self.job.split.sample_id), distillation=False)
        key = self._key(DistillationWork, asdict(options), asdict(self._student()), lesson)
        title = f"distil {self.job.choice.name}{_BESIDE.get(self.model, '')}"
        folder = self.shop.layout.distillation(key)
        work = DistillationWork(title, options, self._student(), lesson, judged, self.job.seed, folder, key)
        self.shop.add(work)
        return work.result

    def references(self) -> ReferenceFiles | None:
        """Where what the references say will be."""
        wanted = self.reading.references
        if wanted is None:
            return None
        return self._imitations(wanted) if wanted.kind == "distilled" else self._trained(wanted)

    def _trained(self, wanted: References) -> ReferenceFiles:
        case, seed = self.case, self.case.target.seed
        pool = case.pool(wanted)
        asked = (case.owned, case.theirs)
        like = case.likeness
        upbringing = Upbringing(
            like.choice.recipe,
            like.choice.options,
            like.choice.epochs,
            like.choice.defences,
            case.members,
            case.validation(pool),
        )
        samples = [_described(part) for part in (pool, *asked)]
        training = {**asdict(upbringing), "validation": digest_arrays(ids=upbringing.validation)}
        key = digest_json([training, samples, seed, like.code, code_digest(TrainedReference)])
        folder = self.shop.layout.references(key)
        for number in range(wanted.count):
            work = TrainedReference("references", number, upbringing, pool, asked, seed, folder)
            self.shop.add(work, number)
        return ReferenceFiles(folder, wanted.count)

    def _imitations(self, wanted: References) -> ReferenceFiles:
        options, lesson, seed = wanted.distillation, self.lesson, self.job.seed
        asked = (Samples(self.job.dataset, self.job.split.sample_id),)
        key = self._key(DistilledReference, asdict(options), asdict(self._student()), lesson, _described(asked[0]))
        folder = self.shop.layout.references(key)
        for number in range(wanted.count):
            title = f"imitations of {self.job.choice.name}"
            work = DistilledReference(title, number, options, self._student(), lesson, asked, seed, folder)
            self.shop.add(work, number)
        return ReferenceFiles(folder, wanted.count)

    def _student(self) -> StudentSpec:
        card = self.shop.gathered[self.case.likeness.key, self.case.lesson].card
        arguments = json.loads(card["properties"].get(names.MODEL_ARGS, "{}"))
        return StudentSpec(str(card["architecture"]), arguments)

    def _asked(self, samples: Samples, *, distillation: bool) -> StoredAnswers:
        gathered = self.shop.gathered[self.job.key, self.case.lesson]
        (signal,) = self.reading.signals
        extraction = gathered.extraction(signal, _SIDES[self.model], distillation=distillation)
        shape = tuple(gathered.card["outputs"][signal.outputs[0]])
        return StoredAnswers(samples.dataset, samples.ids, extraction.plan.folder, shape)

    def _key(self, kind: type, options: object, student: object, lesson: StoredAnswers, *further: object) -> str:
        """Of what a `kind` of work makes: its code judges the samples too, so that mended metrics judge them anew."""
        ids = digest_arrays(ids=lesson.ids)
        return digest_json([options, student, lesson.folder.name, ids, self.job.seed, code_digest(kind), further])


def _described(samples: Samples) -> list[object]:
    """By content: what lies at the place that a data set's options name may have changed."""
    return [opened(samples.dataset).digest, digest_arrays(ids=samples.ids)]
