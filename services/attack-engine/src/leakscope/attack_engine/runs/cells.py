"""The cells of an experiment: which victim meets which attack, in which setting, and what determines the outcome."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from leakscope.attack_engine.attacks import Attack
from leakscope.attack_engine.audits.gather import Gathered
from leakscope.attack_engine.audits.store import StoredCell, read_cell
from leakscope.attack_engine.audits.sweeps import NO_SWEEPS, SweepChoice
from leakscope.attack_engine.runs.config import Experiment
from leakscope.attack_engine.runs.fitting import CellWork, ShadowWork
from leakscope.attack_engine.runs.layout import Layout
from leakscope.attack_engine.runs.victims import VictimJob
from leakscope.core.bundles import read_card
from leakscope.core.digests import digest_code, digest_json

_CODE = ("leakscope.attack_engine.attacks", "leakscope.attack_engine.audits", "leakscope.core.views")


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
    """

    job: VictimJob
    attack: Attack
    key: str
    sweeps: SweepChoice = NO_SWEEPS
    treated: bool = False
    shadow: VictimJob | None = None
    shadow_attack: Attack | None = None

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

    def work(self, gathered: Mapping[str, Gathered], experiment: Experiment, layout: Layout) -> CellWork:
        """What a worker needs to fit this cell."""
        own = gathered[self.job.key]
        shadow = None
        if self.shadow is not None and self.shadow_attack is not None:
            signals = gathered[self.shadow.key]
            shadow = ShadowWork.of(self.shadow_attack, signals, self.shadow.split_path)
        return CellWork.of(
            self.attack,
            own,
            self.job.split_path,
            experiment.seed,
            layout.cell(self.key),
            sweeps=self.sweeps,
            treated=self.treated,
            shadow=shadow,
        )


def plan_cells(experiment: Experiment, jobs: Sequence[VictimJob]) -> Iterator[CellPlan]:
    """Every victim with every attack whose outputs it offers, in the partial setting and, where asked, by shadow."""
    code = digest_code(*_CODE)
    attacks = [experiment.attack(choice) for choice in experiment.attacks]
    for job in jobs:
        treated = job.choice.name in experiment.as_published_transforms
        for attack in _offered(attacks, job):
            own = attack.against(job.augmentation)
            key = _key(code, experiment, job, own, sweeps=asdict(experiment.sweeps), treated=treated)
            yield CellPlan(job, own, key, experiment.sweeps, treated)
    for job in jobs if experiment.shadow else ():
        for shadow in (other for other in jobs if other.is_shadow_of(job)):
            for attack in _offered(attacks, job):
                own, on_shadow = attack.against(job.augmentation), attack.against(shadow.augmentation)
                key = _key(code, experiment, job, own, shadow=_weights(shadow), shadow_split=shadow.split.digest)
                yield CellPlan(job, own, key, shadow=shadow, shadow_attack=on_shadow)


def _offered(attacks: Sequence[Attack], job: VictimJob) -> Iterator[Attack]:
    outputs = set(read_card(job.folder).outputs)
    return (attack for attack in attacks if set(attack.outputs) <= outputs)


def _weights(job: VictimJob) -> list[str]:
    return [read_card(folder).weights_digest for folder in (job.folder, job.twin_folder)]


def _key(code: str, experiment: Experiment, job: VictimJob, attack: Attack, **further: object) -> str:
    return digest_json([_weights(job), repr(attack), job.split.digest, experiment.seed, code, further])
