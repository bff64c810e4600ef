"""The cells of a run: which victim meets which attack, in which setting, and what determines the outcome."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.attacks.definition import MEMBERSHIP
from latentprint.attack_engine.attacks.fitting.stored_scores import StoredScores, read_cell
from latentprint.attack_engine.attacks.fitting.sweeps import NO_SWEEPS, SweepChoice
from latentprint.attack_engine.models.evidence_files import EvidenceFiles
from latentprint.attack_engine.models.job import PLACEBO, TWIN, VICTIM
from latentprint.attack_engine.models.victim import VictimJob
from latentprint.attack_engine.runs.config import Experiment
from latentprint.attack_engine.runs.evidence_jobs import EvidencePlan
from latentprint.attack_engine.runs.fitting import CellTask, ShadowEvidence, cell_code
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.stored_signals import StoredSignals
from latentprint.attack_engine.runs.threat_model import AuditedModel, Model, ThreatModel, audited
from latentprint.core.bundles import read_card
from latentprint.core.code_digest import code_digest
from latentprint.core.datasets import DatasetSpec, Ids, as_published
from latentprint.core.digests import digest_json
from latentprint.core.mirror import mirror_of

REFERENCES = "reference models"
_MODELS: Mapping[str, Model] = {VICTIM: "victim", TWIN: "twin", PLACEBO: "placebo"}


@dataclass(frozen=True)
class CellPlan:
    """A victim under an attack, before and after it has scores.

    Attributes:
        model: the victim.
        attack: as it is asked of the victim.
        seed: of every fit.
        sweeps: what the audit is repeated with.
        treated: whether the samples are also asked for as the published code treats them.
        shadow: the encoder that the attack is fitted on; None in the partial setting.
        shadow_attack: the attack as it is asked of the shadow encoder.
        threat: the victim and its adversary's models, of an attack fitted on a shadow model; None for any other.
    """

    model: AuditedModel
    attack: Attack
    seed: int
    sweeps: SweepChoice = NO_SWEEPS
    treated: bool = False
    shadow: VictimJob | None = None
    shadow_attack: Attack | None = None
    threat: ThreatModel | None = None

    @cached_property
    def key(self) -> str:
        """SHA-256 (hex) of all that the scores depend on, once the models are trained."""
        facts = [_weights(self.model), self.attack.options, self.model.split.digest, self.seed]
        return digest_json([*facts, cell_code(self.attack), self._further])

    @property
    def _further(self) -> dict[str, object]:
        """What else the scores depend on, in each setting."""
        treatment = code_digest(as_published.as_published) if self.treated else ""
        further: dict[str, object] = {"sweeps": asdict(self.sweeps), "treated": treatment}
        if self.threat is not None:
            further |= {"adversary": self.model.auxiliary_digest}
            further |= {} if self.threat.shadow is None else {"training": self.threat.shadow.key}
        if self.shadow is not None:
            further |= {"shadow": _made_weights(self.shadow), "shadow_split": self.shadow.split.digest}
        return further

    @property
    def trainings(self) -> tuple[VictimJob, ...]:
        """What has to be trained before anything else."""
        own = self.model.trainings
        like = None if self.threat is None else self.threat.shadow
        return (*own, *(job for job in (self.shadow or like,) if job is not None))

    @property
    def fitted_on(self) -> str:
        """What the attack is fitted on, or compares with, other than known samples of the victim; "" for nothing."""
        if self.attack.unfitted and self.threat is not None:
            return REFERENCES if self.threat.knows_training else f"{REFERENCES} like {self.threat.imitated.name}"
        return self.shadow.name if self.shadow else ""

    @property
    def distillation(self) -> tuple[DatasetSpec, Ids] | None:
        """Further samples that the models are asked about, to be imitated."""
        auxiliary = None if self.threat is None else self.threat.target.auxiliary
        if auxiliary is None or not self.attack.reading.imitates:
            return None
        return auxiliary.dataset, auxiliary.split.distillation

    @property
    def auxiliary_digest(self) -> str:
        """Of the adversary's samples; "" where nothing is made with them."""
        return "" if self.threat is None else self.model.auxiliary_digest

    @property
    def asked(self) -> tuple[AuditedModel, ...]:
        """The models that are asked."""
        return (self.model,) if self.shadow is None else (self.model, audited(self.shadow))

    def attack_on(self, key: str) -> Attack:
        """The attack as it is asked of the one of `asked` that has this key."""
        if self.shadow is not None and self.shadow_attack is not None and key == self.shadow.answers_key:
            return self.shadow_attack
        return self.attack

    @cached_property
    def is_offered(self) -> bool:
        """Whether the victim, once it is trained, offers what the attack asks for."""
        training = self.model.training
        return training is None or set(self.attack.outputs) <= set(read_card(training.folder).outputs)

    def stored(self, layout: Layout) -> StoredScores | None:
        """The cell, where it was fitted before."""
        folder = layout.cell(self.key)
        if (mirror := mirror_of(folder)) is not None:
            mirror.pull_whole(folder)
        return read_cell(folder)

    def task(self, plan: EvidencePlan, layout: Layout) -> CellTask:
        """What a worker needs to fit this cell; the jobs that have to be done first are left with `plan`."""
        own = plan.signals[self.model.key]
        return CellTask(
            attack=self.attack,
            split_path=self.model.samples.path,
            evidence=self._evidence(plan, own),
            treated=own.evidence(self.attack, self.model.dataset, treated=True) if self.treated else {},
            shadow=self._shadow_evidence(plan),
            sweeps=self.sweeps,
            seed=self.seed,
            queries=own.queries(self.attack),
            card=own.card,
            folder=layout.cell(self.key),
        )

    def _evidence(self, plan: EvidencePlan, own: StoredSignals) -> dict[str, EvidenceFiles]:
        """Of the victim and of the encoders beside it, by side."""
        if self.threat is None:
            return own.evidence(self.attack, self.model.dataset)
        sides = [side for side in own.sides if side in _MODELS]
        return {side: plan.evidence(self.attack.reading, self.threat, _MODELS[side]) for side in sides}

    def _shadow_evidence(self, plan: EvidencePlan) -> ShadowEvidence | None:
        """Of the encoder that the attack is fitted on; None in the partial setting."""
        if self.shadow is None or self.shadow_attack is None:
            return None
        if self.threat is not None:
            evidence = plan.evidence(self.attack.reading, self.threat, "shadow")
        else:
            evidence = plan.signals[self.shadow.answers_key].evidence(self.shadow_attack, self.shadow.dataset)[VICTIM]
        return ShadowEvidence(self.shadow_attack, evidence, self.shadow.samples.path)


def plan_cells(experiment: Experiment, models: Sequence[AuditedModel]) -> Iterator[CellPlan]:
    """Every victim with every attack that audits it, in the partial setting and, where asked, by shadow.

    Cells whose attack asks for more than their victim offers are among them: that is seen when it is trained.
    """
    for model in models:
        treated = model.name in experiment.as_published_transforms
        for attack in _attacks_on(model, experiment):
            if attack.reading.fitted_on_shadow:
                pairs = _pairs_of(model, models) if experiment.pairs else ()
                known = _against(attack, model.training)
                yield from evidence_cells(model, known, experiment.seed, pairs)
                continue
            yield CellPlan(model, _against(attack, model.training), experiment.seed, experiment.sweeps, treated)
    for model in models if experiment.shadow else ():
        for shadow in _shadows_of(model, models):
            for attack in _attacks_on(model, experiment):
                if attack.question != MEMBERSHIP or attack.reading.fitted_on_shadow:
                    continue
                own, on_shadow = _against(attack, model.training), _against(attack, shadow)
                yield CellPlan(model, own, experiment.seed, shadow=shadow, shadow_attack=on_shadow)


def evidence_cells(
    model: AuditedModel,
    attack: Attack,
    seed: int,
    pairs: Sequence[AuditedModel] = (),
    *,
    sweeps: SweepChoice = NO_SWEEPS,
) -> Iterator[CellPlan]:
    """An attack fitted on the adversary's shadow model, or without one on known samples.

    `pairs` are victims whose shadow models stand for this victim's, too.
    """
    if model.auxiliary is None or model.shadow is None:
        yield CellPlan(model, attack, seed, sweeps, threat=ThreatModel(model, None))
        return
    for shadow in (like.shadow for like in (model, *pairs) if like.shadow is not None):
        threat = ThreatModel(model, shadow)
        if attack.unfitted:
            yield CellPlan(model, attack, seed, threat=threat)
        else:
            yield CellPlan(model, attack, seed, shadow=shadow, shadow_attack=attack, threat=threat)


def _pairs_of(model: AuditedModel, models: Sequence[AuditedModel]) -> list[AuditedModel]:
    own = model.training
    return [
        other for other in models if own is not None and other.training is not None and own.is_pair_of(other.training)
    ]


def _shadows_of(model: AuditedModel, models: Sequence[AuditedModel]) -> Iterator[VictimJob]:
    for other in models:
        if model.training is not None and other.training is not None and other.training.is_shadow_of(model.training):
            yield other.training


def _attacks_on(model: AuditedModel, experiment: Experiment) -> list[Attack]:
    """The attacks that audit a victim; all of them where it is not trained here and so names none."""
    if model.training is None:
        return [experiment.attack(choice) for choice in experiment.attacks]
    return experiment.attacks_on(model.training.choice)


def _against(attack: Attack, training: VictimJob | None) -> Attack:
    """The attack with what the adversary knows of the victim's training."""
    return attack if training is None else attack.against(training.augmentation)


def _weights(model: AuditedModel) -> list[str]:
    weights = [digest for job in (model.training,) if job is not None for digest in _made_weights(job)]
    for job in model.beside.values():
        weights += [read_card(job.folder).weights_digest, *job.obfuscation]
    return [*model.facts, *weights]


def _made_weights(job: VictimJob) -> list[str]:
    return [read_card(folder).weights_digest for folder in (job.folder, job.twin.folder)]
