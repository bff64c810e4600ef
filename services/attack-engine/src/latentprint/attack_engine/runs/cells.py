"""The cells of an experiment: which victim meets which attack, in which setting, and what determines the outcome."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.fitting.sweeps import NO_SWEEPS, SweepChoice
from latentprint.attack_engine.audits.gather import PLACEBO, TWIN, VICTIM, Gathered
from latentprint.attack_engine.audits.store import StoredCell, read_cell
from latentprint.attack_engine.models.evidence_files import EvidenceFiles
from latentprint.attack_engine.runs.config import Experiment
from latentprint.attack_engine.runs.fitting import CellWork, ShadowWork, cell_code, gathered_evidence
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.preparing import Case, Model, Workshop
from latentprint.attack_engine.runs.victims import VictimJob
from latentprint.core.bundles import read_card
from latentprint.core.code_digest import code_digest
from latentprint.core.datasets import DatasetSpec, Ids, as_published
from latentprint.core.digests import digest_json

REFERENCES = "reference models"


@dataclass(frozen=True)
class CellPlan:
    """A victim under an attack, before and after it has scores.

    Attributes:
        job: the victim.
        attack: as it is asked of the victim.
        key: SHA-256 (hex) of all that the scores depend on.
        sweeps: what the audit is repeated with.
        treated: whether the samples are also asked for as the published code treats them.
        shadow: the encoder that the attack is fitted on; None in the partial setting.
        shadow_attack: the attack as it is asked of the shadow encoder.
        case: the victim and its adversary, of an attack that is fitted on a shadow model; None for any other.
    """

    job: VictimJob
    attack: Attack
    key: str
    sweeps: SweepChoice = NO_SWEEPS
    treated: bool = False
    shadow: VictimJob | None = None
    shadow_attack: Attack | None = None
    case: Case | None = None

    @property
    def fitted_on(self) -> str:
        """What the attack is fitted on, or compares with, other than known samples of the victim; "" for nothing."""
        if self.attack.unfitted and self.case is not None:
            return REFERENCES if self.case.alike else f"{REFERENCES} like {self.case.likeness.choice.name}"
        return self.shadow.choice.name if self.shadow else ""

    @property
    def distillation(self) -> tuple[DatasetSpec, Ids] | None:
        """Further samples that the encoders are asked about, to be imitated."""
        adversary = None if self.case is None else self.case.target.adversary
        if adversary is None or not self.attack.reading.imitates:
            return None
        return adversary.dataset, adversary.split.distillation

    @property
    def lesson(self) -> str:
        """See `Case.lesson`; "" where nothing is prepared."""
        return "" if self.case is None else self.case.lesson

    @property
    def jobs(self) -> tuple[VictimJob, ...]:
        """The encoders that have to be asked."""
        return (self.job,) if self.shadow is None else (self.job, self.shadow)

    def attack_on(self, job: VictimJob) -> Attack:
        """The attack as it is asked of one of `jobs`."""
        if self.shadow is not None and self.shadow_attack is not None and job.key == self.shadow.key:
            return self.shadow_attack
        return self.attack

    def stored(self, layout: Layout) -> StoredCell | None:
        """The cell, where it was fitted before."""
        return read_cell(layout.cell(self.key))

    def work(self, shop: Workshop, experiment: Experiment) -> CellWork:
        """What a worker needs to fit this cell; what has to be prepared for it is left with `shop`."""
        own = shop.gathered[self.job.key, self.lesson]
        return CellWork(
            attack=self.attack,
            split_path=self.job.split_path,
            evidence=self._evidence(shop),
            treated=self._treated(own),
            shadow=self._shadow_work(shop),
            sweeps=self.sweeps,
            seed=experiment.seed,
            queries=own.queries(self.attack),
            card=own.card,
            folder=shop.layout.cell(self.key),
        )

    def _evidence(self, shop: Workshop) -> dict[str, EvidenceFiles]:
        """Of the victim and of the encoders beside it, by side."""
        if self.case is None:
            own = shop.gathered[self.job.key, self.lesson]
            return gathered_evidence(self.attack, own, self.job.dataset)
        models: dict[str, Model] = {VICTIM: "target", TWIN: "twin"}
        if self.job.placebo is not None:
            models[PLACEBO] = "placebo"
        return {side: shop.evidence(self.attack.reading, self.case, model) for side, model in models.items()}

    def _treated(self, own: Gathered) -> dict[str, EvidenceFiles]:
        """Of the samples that are treated differently, by side."""
        return gathered_evidence(self.attack, own, self.job.dataset, treated=True) if self.treated else {}

    def _shadow_work(self, shop: Workshop) -> ShadowWork | None:
        """Of the encoder that the attack is fitted on; None in the partial setting."""
        if self.shadow is None or self.shadow_attack is None:
            return None
        if self.case is not None:
            evidence = shop.evidence(self.attack.reading, self.case, "shadow")
        else:
            signals = shop.gathered[self.shadow.key, self.lesson]
            evidence = gathered_evidence(self.shadow_attack, signals, self.shadow.dataset)[VICTIM]
        return ShadowWork(self.shadow_attack, evidence, self.shadow.split_path)


def plan_cells(experiment: Experiment, jobs: Sequence[VictimJob]) -> Iterator[CellPlan]:
    """Every victim with every attack whose outputs it offers, in the partial setting and, where asked, by shadow."""
    attacks = [experiment.attack(choice) for choice in experiment.attacks]
    for job in jobs:
        treated = job.choice.name in experiment.as_published_transforms
        treatment = code_digest(as_published.as_published) if treated else ""
        for attack in _offered(attacks, job):
            if attack.reading.fitted_on_shadow:
                yield from _prepared_cells(experiment, job, attack, jobs)
                continue
            own = attack.against(job.augmentation)
            key = _key(experiment, job, own, sweeps=asdict(experiment.sweeps), treated=treatment)
            yield CellPlan(job, own, key, experiment.sweeps, treated)
    for job in jobs if experiment.shadow else ():
        for shadow in (other for other in jobs if other.is_shadow_of(job)):
            for attack in (one for one in _offered(attacks, job) if not one.reading.fitted_on_shadow):
                own, on_shadow = attack.against(job.augmentation), attack.against(shadow.augmentation)
                key = _key(experiment, job, own, shadow=_weights(shadow), shadow_split=shadow.split.digest)
                yield CellPlan(job, own, key, shadow=shadow, shadow_attack=on_shadow)


def shadows(experiment: Experiment, jobs: Sequence[VictimJob]) -> list[VictimJob]:
    """The shadow models that the experiment's attacks are fitted on."""
    if not any(experiment.attack(choice).reading.fitted_on_shadow for choice in experiment.attacks):
        return []
    return [job.shadow for job in jobs if job.shadow is not None]


def placebos(jobs: Sequence[VictimJob]) -> list[VictimJob]:
    """The encoders made like the victims that saw none of their samples, where there are enough others."""
    return [job.placebo for job in jobs if job.placebo is not None]


def _prepared_cells(
    experiment: Experiment, job: VictimJob, attack: Attack, jobs: Sequence[VictimJob]
) -> Iterator[CellPlan]:
    """An attack fitted on the adversary's shadow model, or without one on known samples."""
    if job.adversary is None or job.shadow is None:
        key = _key(experiment, job, attack, adversary=job.adversary_digest)
        yield CellPlan(job, attack, key, case=Case(job, None))
        return
    likenesses = [job, *(other for other in jobs if experiment.pairs and job.is_pair_of(other))]
    for shadow in (like.shadow for like in likenesses if like.shadow is not None):
        facts = {"adversary": job.adversary_digest, "shadow": _weights(shadow), "training": shadow.key}
        key = _key(experiment, job, attack, **facts)
        if attack.unfitted:
            yield CellPlan(job, attack, key, case=Case(job, shadow))
            continue
        yield CellPlan(job, attack, key, shadow=shadow, shadow_attack=attack, case=Case(job, shadow))


def _offered(attacks: Sequence[Attack], job: VictimJob) -> Iterator[Attack]:
    outputs = set(read_card(job.folder).outputs)
    return (attack for attack in attacks if set(attack.outputs) <= outputs)


def _weights(job: VictimJob) -> list[str]:
    beside = () if job.placebo is None else (job.placebo.folder,)
    return [read_card(folder).weights_digest for folder in (job.folder, job.twin_folder, *beside)]


def _key(experiment: Experiment, job: VictimJob, attack: Attack, **further: object) -> str:
    facts = [_weights(job), attack.options, job.split.digest, experiment.seed, cell_code(attack)]
    return digest_json([*facts, further])
