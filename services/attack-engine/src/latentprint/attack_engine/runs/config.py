"""Experiment files: YAML mapped strictly onto frozen dataclasses, checked before anything runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from latentprint.attack_engine.attacks import Attack, AttackChoice
from latentprint.attack_engine.attacks.definition import ATTRIBUTES
from latentprint.attack_engine.attacks.fitting.sweeps import NO_SWEEPS, SweepChoice
from latentprint.attack_engine.findings.results import Published
from latentprint.attack_engine.inference.base import MEMBERS_ALONE
from latentprint.attack_engine.models.choice import VictimChoice
from latentprint.attack_engine.runs.derivation import lines_of_descent
from latentprint.attack_engine.runs.layout import RESERVED
from latentprint.attack_engine.runs.scales import at_scale
from latentprint.attack_engine.runs.search import SearchChoice, scsr
from latentprint.attack_engine.statistics.discoveries import FDR
from latentprint.core.checks import require, require_folder_name, require_seed
from latentprint.core.config import from_mapping, load_yaml
from latentprint.core.datasets import DATASETS, DatasetSpec
from latentprint.core.errors import UsageError, unknown_name
from latentprint.core.partitions import PartSizes
from latentprint.core.user_partitions import UserImages
from latentprint.trainer import make_plan


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

    def attack(self, choice: AttackChoice) -> Attack:
        """Build one of the experiment's attacks."""
        return choice.build(self.seed)

    def split_name(self, victim: VictimChoice) -> str:
        """The split that `victim`, or the one that it is derived from in the end, is trained on."""
        return lines_of_descent(self.victims)[victim.name][0].split

    def attacks_on(self, victim: VictimChoice) -> list[Attack]:
        """Build the attacks that audit `victim`, in the file's order."""
        return [self.attack(choice) for choice in self.attacks if victim.is_audited_with(_label(choice))]


def load_experiment(path: Path, scale: str = "", seed: int | None = None) -> Experiment:
    """Read and check an experiment file; every name in it is resolved before anything runs.

    Args:
        path: the file.
        scale: one of the file's `scales`; "" takes the first, where there are any.
        seed: in place of the file's own.

    Raises:
        UsageError: an unknown key, name or scale, or a seed that is none, by place and with the nearest known one.
    """
    content = at_scale(load_yaml(path), scale, str(path))
    named = {} if seed is None else {"seed": seed}
    experiment = from_mapping(Experiment, {"title": content.get("name", ""), **content, **named}, str(path))
    for split in experiment.splits.values():
        _known("data set of a split", split.dataset, experiment.datasets)
        if split.auxiliary:
            _known("auxiliary data set of a split", split.auxiliary, experiment.datasets)
    _distinct("victim", [victim.name for victim in experiment.victims])
    _distinct("attack", _labels(experiment))
    lines_of_descent(experiment.victims)
    for victim in (one for one in experiment.victims if one.recipe):
        _known("split", victim.split, experiment.splits)
        make_plan(victim.recipe, victim.options, victim.epochs, victim.defences)
    for dataset in experiment.datasets.values():
        DATASETS.entry(dataset.name)
    for victim in experiment.victims:
        _check_questions(victim, experiment)
    for choice in experiment.attacks:
        _check_attack(choice, experiment)
    _check_controls(experiment)
    for search in experiment.searches:
        _check_search(search, experiment)
    return experiment


def _check_questions(victim: VictimChoice, experiment: Experiment) -> None:
    """The attacks that the victim names are there, and its split is drawn as the question of each wants it."""
    if victim.attacks == () and not any(victim.name in (one.owned_by, one.of) for one in experiment.victims):
        raise UsageError(
            f"Nothing is asked of {victim.name!r}, and it owns no suspect and nothing is derived from it: name its "
            "attacks."
        )
    for label in victim.attacks or ():
        _known(f"attack of the victim {victim.name!r}", label, _labels(experiment))
    split = experiment.split_name(victim)
    of_users = experiment.splits[split].users is not None
    for attack in experiment.attacks_on(victim):
        if attack.question != ATTRIBUTES and attack.reading.of_units != of_users:
            raise UsageError(
                f"{attack.name} answers the question of {attack.question}, which cannot be asked of {victim.name!r}: "
                f"its split {split!r} is drawn {'user by user' if of_users else 'sample by sample'}. Name the "
                "attacks of each victim (attacks)."
            )


def _check_attack(choice: AttackChoice, experiment: Experiment) -> None:
    """Some split has what the attack needs; whether every victim that it can be tried on has, is seen when asked."""
    attack, label = experiment.attack(choice), _label(choice)
    victims = [victim for victim in experiment.victims if victim.is_audited_with(label)]
    if not victims:
        raise UsageError(f"No victim is audited with {label!r}: name it at one of them, or leave it out.")
    splits = [experiment.splits[experiment.split_name(victim)] for victim in victims]
    if attack.reading.imitates and not any(split.distillation for split in splits):
        raise UsageError(f"{attack.name} imitates the victim: give its split distillation samples.")
    if attack.reading.needs_shadow and not any(split.shadow_members for split in splits):
        raise UsageError(
            f"{attack.name} is fitted on a shadow model: give its split shadow_members and shadow_non_members."
        )

    if experiment.sweeps != NO_SWEEPS and attack.known_sides == MEMBERS_ALONE:
        raise UsageError(
            f"{attack.name} answers the question of {attack.question}, which has no sweeps: leave them out."
        )


def _check_controls(experiment: Experiment) -> None:
    """Every victim and attack that is named beside the matrix is in it, and every sweep can be done."""
    victims = [victim.name for victim in experiment.victims]
    split_of = {victim.name: experiment.split_name(victim) for victim in experiment.victims}
    for suspect in (victim for victim in experiment.victims if victim.owned_by):
        split = split_of[suspect.name]
        others = [name for name in victims if split_of[name] == split and name != suspect.name]
        _known(f"victim of the split {split!r} that may own {suspect.name!r}", suspect.owned_by, others)
    for name in experiment.as_published_transforms:
        _known("victim", name, victims)
    for number in experiment.published:
        _known("victim of a published number", number.victim, victims)
        _known("attack of a published number", number.attack, _labels(experiment))
    for fraction in experiment.sweeps.knowledge:
        low = min(split.known_fraction for split in experiment.splits.values())
        if not 0 < fraction <= low:
            raise UsageError(f"sweeps.knowledge: {fraction:g} must lie above 0 and at most at known_fraction, {low:g}.")


def _check_search(search: SearchChoice, experiment: Experiment) -> None:
    """The search's victim and attack are there, and the victim's recipe can take every bound."""
    victims = {victim.name: victim for victim in experiment.victims}
    _known("victim of a search", search.victim, victims)
    _known("attack of a search", search.attack, _labels(experiment))
    search.check(victims)
    chosen = next(c for c in experiment.attacks if _label(c) == search.attack)
    if experiment.attack(chosen).reading.fitted_on_shadow:
        raise UsageError(f"A search is steered by attacks on known samples; {search.attack!r} wants a shadow model.")
    victim = victims[search.victim]
    if victim.of:
        raise UsageError(
            f"The search on {victim.name!r} needs a victim that is trained by a recipe, not a derived one."
        )
    if victim.defence is not None:
        raise UsageError(
            f"The search on {victim.name!r} needs an undefended victim; this one has {victim.defence.name}."
        )
    for lower in search.coarse:
        make_plan(victim.recipe, victim.options, victim.epochs, (scsr(lower),))


def _known(kind: str, name: str, known: Iterable[str]) -> None:
    if name not in set(known):
        raise unknown_name(kind, name, known)


def _label(choice: AttackChoice) -> str:
    """What the file calls an attack."""
    return choice.label or choice.name


def _labels(experiment: Experiment) -> list[str]:
    return [_label(choice) for choice in experiment.attacks]


def _distinct(kind: str, names: list[str]) -> None:
    if not names:
        raise UsageError(f"An experiment needs at least one {kind}.")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"The {kind} {name!r} stands twice in the experiment; give each a name of its own.")
