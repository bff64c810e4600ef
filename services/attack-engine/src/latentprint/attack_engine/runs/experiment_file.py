"""Experiment files: read, mapped strictly onto `Experiment`, and checked before anything runs."""

from collections.abc import Iterable
from pathlib import Path

from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.attacks.definition import ATTRIBUTES
from latentprint.attack_engine.attacks.fitting.sweeps import NO_SWEEPS
from latentprint.attack_engine.inference.base import MEMBERS_ALONE
from latentprint.attack_engine.models.choice import VictimChoice
from latentprint.attack_engine.runs.config import Experiment, attack_label
from latentprint.attack_engine.runs.derivation import lines_of_descent
from latentprint.attack_engine.runs.scales import at_scale
from latentprint.attack_engine.runs.search import SearchChoice, scsr
from latentprint.core.config import from_mapping, load_yaml
from latentprint.core.datasets import DATASETS
from latentprint.core.errors import UsageError, unknown_name
from latentprint.trainer import make_plan


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
    _distinct("attack", experiment.labels)
    lines_of_descent(experiment.victims)
    for victim in (one for one in experiment.victims if one.recipe):
        if not (victim.split and victim.epochs):
            raise UsageError(f"The victim {victim.name!r} is trained by {victim.recipe}: give its split and epochs.")
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
        _known(f"attack of this file that the victim {victim.name!r} names:", label, experiment.labels)
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
    attack, label = experiment.attack(choice), attack_label(choice)
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
        kind = f"owner of the suspect {suspect.name!r}, another victim of the split {split!r}:"
        _known(kind, suspect.owned_by, others)
    for name in experiment.as_published_transforms:
        _known("victim", name, victims)
    for number in experiment.published:
        _known("victim of a published number", number.victim, victims)
        _known("attack of a published number", number.attack, experiment.labels)
    for fraction in experiment.sweeps.knowledge:
        low = min(split.known_fraction for split in experiment.splits.values())
        if not 0 < fraction <= low:
            raise UsageError(f"sweeps.knowledge: {fraction:g} must lie above 0 and at most at known_fraction, {low:g}.")


def _check_search(search: SearchChoice, experiment: Experiment) -> None:
    """The search's victim and attack are there, and the victim's recipe can take every bound."""
    victims = {victim.name: victim for victim in experiment.victims}
    _known("victim of a search", search.victim, victims)
    _known("attack of a search", search.attack, experiment.labels)
    search.check(victims)
    chosen = next(c for c in experiment.attacks if attack_label(c) == search.attack)
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


def _distinct(kind: str, names: list[str]) -> None:
    if not names:
        raise UsageError(f"An experiment needs at least one {kind}.")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"The {kind} {name!r} stands twice in the experiment; give each a name of its own.")
