"""What an experiment's file says, as frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from latentprint.attack_engine.attacks import Attack, AttackChoice
from latentprint.attack_engine.attacks.fitting.sweeps import SweepChoice
from latentprint.attack_engine.findings.results import Published
from latentprint.attack_engine.models.choice import VictimChoice
from latentprint.attack_engine.runs.derivation import lines_of_descent
from latentprint.attack_engine.runs.layout import RESERVED
from latentprint.attack_engine.runs.search import SearchChoice
from latentprint.attack_engine.statistics.discoveries import FDR
from latentprint.core.checks import require, require_folder_name, require_seed
from latentprint.core.datasets import DatasetSpec
from latentprint.core.partitions import PartSizes
from latentprint.core.user_partitions import UserImages


@dataclass(frozen=True)
class CandidatesChoice:
    """A collection of `count` samples whose membership every audit is asked for; the victim is trained on `used`."""

    count: int
    used: int

    def __post_init__(self) -> None:
        require(self.count >= 1, "count of candidates", self.count, "at least 1")
        require(0 <= self.used <= self.count, "used of candidates", self.used, f"from 0 to {self.count}")


@dataclass(frozen=True)
class SplitChoice:
    """How a split is drawn from one of the experiment's data sets.

    Attributes:
        dataset: where the victim's samples come from.
        members, non_members: of the victim.
        known_fraction: of them that the adversary knows; 0 only where it has a shadow model.
        shadow_members, shadow_non_members: of the adversary's shadow model; 0 for none.
        distillation: samples to imitate the victim with; "rest" takes all that are left.
        validation: the owner's own held-out samples, for a defence that learns from them.
        auxiliary: data set that the adversary's samples come from; "" takes them from `dataset`.
        users: images of each user, where users are the members: all numbers here then count users, not samples.
        candidates: a collection of which the victim may be trained on a part; neither known nor evaluated.
        seed: of the draw.
    """

    dataset: str
    members: int
    non_members: int
    known_fraction: float = 0.5
    shadow_members: int = 0
    shadow_non_members: int = 0
    distillation: int | Literal["rest"] = 0
    validation: int = 0
    auxiliary: str = ""
    users: UserImages | None = None
    candidates: CandidatesChoice | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("members", "non_members"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        for name in ("shadow_members", "shadow_non_members", "validation"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(self.distillation == "rest" or self.distillation >= 0, "distillation", self.distillation, "0 or more")
        require(0 <= self.known_fraction < 1, "known_fraction", self.known_fraction, "at least 0 and below 1")
        require(not (self.users and self.candidates), "candidates", "beside users", "left out: they are single samples")
        require_seed("seed", self.seed)

    @property
    def is_plain(self) -> bool:
        """Whether there are no more parts than members and non-members, drawn sample by sample."""
        return not (self.shadow_members or self.distillation or self.validation or self.users or self.candidates)

    @property
    def sizes(self) -> PartSizes:
        """Of the parts."""
        return PartSizes(
            self.members,
            self.non_members,
            self.shadow_members,
            self.shadow_non_members,
            None if self.distillation == "rest" else self.distillation,
            self.validation,
            *((self.candidates.used, self.candidates.count - self.candidates.used) if self.candidates else (0, 0)),
        )


@dataclass(frozen=True)
class Experiment:
    """A whole experiment file.

    Attributes:
        name: of the experiment.
        title: the report's title.
        needs: what it takes, for a reader: data, time, hardware.
        datasets, splits: by the names that the rest of the file uses.
        victims, attacks: every victim meets every attack whose outputs it offers, or those alone that it names.
        seed: of everything that sets none of its own.
        workers: extraction workers.
        trainings: victims trained side by side.
        training_workers: workers that train one victim together, each with a core, or with a GPU where there are any.
        budget: images that each endpoint may be asked at most; None for no limit.
        keep_answers: keep every answer of every endpoint on disk.
        searches: defences to be found; their first candidates and the chosen ones are audited as victims.
        sweeps: knowledge and queries that every audit is repeated with.
        shadow: also attack each victim with what was fitted on each other victim of the same recipe, options, epochs
            and defence whose data set is another: every ordered pair.
        pairs: also attack each victim with a shadow model, students and references made like each other victim of the
            same split: every ordered pair of architectures.
        as_published_transforms: victims that are also attacked, with their twins, on samples treated as the published
            code does; a control experiment.
        placebo: "auto" also trains each victim's recipe on other samples of its data set, where enough are left, as a
            control that saw neither members nor non-members; "none" leaves it out.
        fdr: of members lists, the share of false calls allowed on average.
        published: a paper's numbers, to stand beside the measured ones.
        scale: which of the file's scales this is.
    """

    name: str
    datasets: Mapping[str, DatasetSpec]
    splits: Mapping[str, SplitChoice]
    victims: tuple[VictimChoice, ...]
    attacks: tuple[AttackChoice, ...]
    title: str = ""
    needs: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    workers: int = 2
    trainings: int = 2
    training_workers: int = 1
    budget: int | None = None
    keep_answers: bool = False
    searches: tuple[SearchChoice, ...] = ()
    sweeps: SweepChoice = field(default_factory=SweepChoice)
    shadow: bool = False
    pairs: bool = False
    as_published_transforms: tuple[str, ...] = ()
    placebo: Literal["auto", "none"] = "auto"
    fdr: float = FDR
    published: tuple[Published, ...] = ()
    scale: str = ""

    def __post_init__(self) -> None:
        require_folder_name("The experiment's name", self.folder, RESERVED)
        require_seed("seed", self.seed)
        for name in ("workers", "trainings", "training_workers"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "at least 1")
        require(0 < self.fdr < 1, "fdr", self.fdr, "above 0 and below 1")
        require(self.budget is None or self.budget >= 0, "budget", self.budget, "0 or more images")

    @property
    def folder(self) -> str:
        """Name of the run's folder and of the MLflow experiment: each scale has its own."""
        return f"{self.name}-{self.scale}" if self.scale else self.name

    @property
    def labels(self) -> list[str]:
        """What the file calls its attacks."""
        return [attack_label(choice) for choice in self.attacks]

    def attack(self, choice: AttackChoice) -> Attack:
        """Build one of the experiment's attacks."""
        return choice.build(self.seed)

    def split_name(self, victim: VictimChoice) -> str:
        """The split that `victim`, or the one that it is derived from in the end, is trained on."""
        return lines_of_descent(self.victims)[victim.name][0].split

    def attacks_on(self, victim: VictimChoice) -> list[Attack]:
        """Build the attacks that audit `victim`, in the file's order."""
        return [self.attack(choice) for choice in self.attacks if victim.is_audited_with(attack_label(choice))]


def attack_label(choice: AttackChoice) -> str:
    """What a file calls an attack."""
    return choice.label or choice.name
