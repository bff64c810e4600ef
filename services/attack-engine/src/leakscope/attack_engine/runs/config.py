"""Experiment files: YAML mapped strictly onto frozen dataclasses, checked before anything runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leakscope.attack_engine.attacks import Attack, AttackChoice
from leakscope.core.config import from_mapping, load_yaml
from leakscope.core.datasets import DATASETS, DatasetSpec
from leakscope.core.errors import UsageError, unknown_name
from leakscope.trainer import DefenceSpec, make_plan


@dataclass(frozen=True)
class SplitChoice:
    """How a split is drawn from one of the experiment's data sets."""

    dataset: str
    members: int
    non_members: int
    known_fraction: float = 0.5
    seed: int | None = None


@dataclass(frozen=True)
class VictimChoice:
    """A victim to train: a recipe on the members of a split, with or without a defence.

    `deterministic` serves it so that an image's answer is the same bits in any batch.
    """

    name: str
    recipe: str
    split: str
    epochs: int
    options: Mapping[str, Any] = field(default_factory=dict)
    defence: DefenceSpec | None = None
    seed: int | None = None
    deterministic: bool = False

    @property
    def defences(self) -> tuple[DefenceSpec, ...]:
        """The defence, if there is one."""
        return (self.defence,) if self.defence else ()


@dataclass(frozen=True)
class Experiment:
    """A whole experiment file.

    Attributes:
        name: folder name of the run and of the MLflow experiment.
        title: the report's title.
        needs: what it takes, for a reader: data, time, hardware.
        datasets, splits: by the names that the rest of the file uses.
        victims, attacks: every victim meets every attack whose outputs it offers.
        seed: of everything that sets none of its own.
        workers: extraction workers.
        trainings: victims trained side by side.
        budget: images that each endpoint may be asked at most; None for no limit.
        keep_answers: keep every answer of every endpoint on disk.
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
    budget: int | None = None
    keep_answers: bool = False

    def attack(self, choice: AttackChoice) -> Attack:
        """Build one of the experiment's attacks."""
        return choice.build(self.seed)


def load_experiment(path: Path) -> Experiment:
    """Read and check an experiment file; every name in it is resolved before anything runs.

    Raises:
        UsageError: an unknown key or name, by place and with the nearest known one.
    """
    content = load_yaml(path)
    experiment = from_mapping(Experiment, {"title": content.get("name", ""), **content}, str(path))
    for split in experiment.splits.values():
        _known("data set of a split", split.dataset, experiment.datasets)
    for victim in experiment.victims:
        _known("split", victim.split, experiment.splits)
        make_plan(victim.recipe, victim.options, victim.epochs, victim.defences)
    for dataset in experiment.datasets.values():
        DATASETS.entry(dataset.name)
    for choice in experiment.attacks:
        experiment.attack(choice)
    _distinct("victim", [victim.name for victim in experiment.victims])
    _distinct("attack", [choice.label or choice.name for choice in experiment.attacks])
    return experiment


def _known(kind: str, name: str, known: Iterable[str]) -> None:
    if name not in set(known):
        raise unknown_name(kind, name, known)


def _distinct(kind: str, names: list[str]) -> None:
    if not names:
        raise UsageError(f"An experiment needs at least one {kind}.")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"The {kind} {name!r} stands twice in the experiment; give each a name of its own.")
