"""What the options of `latentprint audit` name: attacks with their options, and the samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latentprint.attack_engine.commands.endpoint_options import pair, require_remote
from latentprint.core.checks import require
from latentprint.core.cli import refuse_unused
from latentprint.core.errors import UsageError
from latentprint.core.values import parse_value

if TYPE_CHECKING:
    from latentprint.attack_engine.asking import EndpointSpec
    from latentprint.attack_engine.attacks import Attack
    from latentprint.core.datasets import DatasetSpec
    from latentprint.core.samples import Size
    from latentprint.core.splits import Split

_SHADOW = ("--shadow-recipe", "--shadow-epochs", "--shadow-option")


@dataclass(frozen=True)
class NamedFolders:
    """The folders of images that a user names, each None where it is not named."""

    members: Path | None
    non_members: Path | None
    candidates: Path | None


def chosen_attacks(
    attack: str,
    question: str,
    attribute: str,
    attack_options: Sequence[str],
    inference: str,
    ranged: tuple[tuple[str, ...], int],
    seed: int,
) -> "tuple[Attack, ...]":
    """The attacks that are named, or the question's own, built; all of them answer one question.

    Raises:
        UsageError: whatever is named wrongly, or attacks of several questions.
    """
    from latentprint.attack_engine.attacks import AttackChoice
    from latentprint.attack_engine.attacks.attack import require_one_question

    options, names = _options_by_attack(attack_options), _attack_names(attack, question)
    _infer(attribute, names, options)
    versions, draws = ranged
    choices = [
        AttackChoice(name, options.pop(name, {}), inference, range=versions, range_draws=draws) for name in names
    ]
    if options:
        named = ",".join(names)
        raise UsageError(f"--attack-option names {next(iter(options))!r}, which is not among the attacks {named!r}.")
    attacks = tuple(choice.build(seed) for choice in choices)
    require_one_question(attacks, question)
    return attacks


def named_samples(
    split: Path | None,
    folders: NamedFolders,
    attacks: "Sequence[Attack]",
    endpoint: "EndpointSpec",
    size: "Size",
    known_fraction: float,
    seed: int,
) -> "tuple[DatasetSpec, Split]":
    """The samples: a split's, or those of two folders, one a file, or one a sub-folder for attacks on users.

    Raises:
        UsageError: both or neither are named, or what the attacks do not go with; DataError: samples that are none.
    """
    from latentprint.attack_engine.runs.samples import samples_of_folders, samples_of_split
    from latentprint.attack_engine.runs.users import images_a_user, samples_of_user_folders

    members, non_members, candidates = folders.members, folders.non_members, folders.candidates
    if split is not None and candidates is not None:
        raise UsageError("--candidates goes with --members and --non-members; a split's file names its own candidates.")
    if split is not None and members is None and non_members is None:
        return samples_of_split(split)
    if split is not None or members is None or non_members is None:
        raise UsageError(
            "Name the samples either by --split, or by both --members and --non-members (of ownership, --private and "
            "--test)."
        )
    drawn: dict[str, Any] = {"side": size, "known_fraction": known_fraction, "seed": seed}
    if not any(attack.reading.of_units for attack in attacks):
        return samples_of_folders(members, non_members, endpoint, candidates=candidates, **drawn)
    if candidates is not None:
        raise UsageError("--candidates are samples whose membership is asked for, and this audit asks about users.")
    return samples_of_user_folders(members, non_members, endpoint, images=images_a_user(attacks), **drawn)


def require_used(attacks: "Sequence[Attack]", url: str, given: Mapping[str, object]) -> None:
    """Raise `UsageError` for what is given and would not be used.

    Args:
        attacks: of one question.
        url: of the endpoint.
        given: the values of the options that were given, by flag.
    """
    require_remote(url, given, [str(given.get(flag)) for flag in ("--untrained", "--reference", "--victim")])
    if "--range" not in given:
        refuse_unused(given, ["--range-draws"], "counts the versions in a --range: name that too.")
    if "--split" in given:
        refuse_unused(given, ["--side", "--known-fraction"], "is of folders; a split's file says it itself.")
    if "--auxiliary" not in given:
        refuse_unused(
            given, _SHADOW, "is of a shadow model, which learns the adversary's samples: name --auxiliary DIR."
        )
    if given.get("--canaries") == 0:
        refuse_unused(given, ["--canary-every"], "says how often canaries are asked, and --canaries 0 asks none.")
    _require_used_by_question(attacks, given)


def _require_used_by_question(attacks: "Sequence[Attack]", given: Mapping[str, object]) -> None:
    """Raise `UsageError` for what is given and the attacks, or their question, do not use."""
    from latentprint.attack_engine.attacks.definition import ATTRIBUTES, MEMBERSHIP, OWNERSHIP, USERS

    question, names = attacks[0].question, ", ".join(attack.name for attack in attacks)
    unused = f"is not used by audits of {question}"
    if question == ATTRIBUTES:
        further = ["--reference", "--auxiliary", "--split-by"]
        refuse_unused(given, further, f"{unused}, whose baselines need none: leave it out.")
    else:
        refuse_unused(given, ["--attribute"], "is what --question attributes asks for: name that question too.")
    if question != OWNERSHIP:
        refuse_unused(given, ["--victim"], f"is whom an encoder may be stolen from; this audit is one of {question}.")
    if question not in (MEMBERSHIP, USERS):
        refuse_unused(given, ["--fdr"], f"{unused}, which list no members: leave it out.")
    readings = [attack.reading for attack in attacks]
    if not any(one.fitted_on_shadow or one.needs_shadow or one.imitates for one in readings):
        refuse_unused(given, ["--auxiliary"], f"is not used by {names}: leave it out.")


def shadow_options(texts: Sequence[str]) -> Mapping[str, Any]:
    """The options of the shadow model's recipe."""
    pairs = (pair(text, "--shadow-option") for text in texts)
    return {key: parse_value(value, f"--shadow-option {key}") for key, value in pairs}


def _attack_names(attack: str, question: str) -> list[str]:
    """The attacks that are named, or those that the question is asked with by default."""
    from latentprint.attack_engine.attacks.definition import MEMBERSHIP
    from latentprint.attack_engine.questions import QUESTIONS

    asked = QUESTIONS.get(question or MEMBERSHIP)
    names = [name.strip() for name in attack.split(",") if name.strip()] if attack else list(asked.attacks)
    require(bool(names), "--attack", repr(attack), "at least one attack")
    require(len(set(names)) == len(names), "--attack", attack, "a list that names every attack once")
    return names


def _infer(attribute: str, attacks: Sequence[str], options: dict[str, dict[str, Any]]) -> None:
    """Give the attacks on attributes the one that they are to infer."""
    from latentprint.attack_engine.attacks import ATTACKS
    from latentprint.attack_engine.attacks.definition import ATTRIBUTES

    for name in attacks if attribute else ():
        if ATTACKS.get(name).question != ATTRIBUTES:
            continue
        if "attribute" in options.setdefault(name, {}):
            raise UsageError(f"--attribute and --attack-option {name}.attribute both name one: leave one of them out.")
        options[name]["attribute"] = attribute


def _options_by_attack(texts: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Options by attack and key; of a combination, partcrop+encodermi.partcrop={crops: 64}."""
    options: dict[str, dict[str, Any]] = {}
    for text in texts:
        place, value = pair(text, "--attack-option")
        name, dot, key = place.rpartition(".")
        if not dot:
            raise UsageError(f"--attack-option {text!r}: write ATTACK.KEY=VALUE, as partcrop.crops=64.")
        options.setdefault(name, {})[key] = parse_value(value, f"--attack-option {place}")
    return options
