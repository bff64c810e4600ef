"""Victims that an experiment derives from others: their lines of descent, and the jobs that make them."""

from collections.abc import Mapping, Sequence

from latentprint.attack_engine.models.choice import DrawnSamples, VictimChoice
from latentprint.attack_engine.models.derived import ProbeJob, TheftJob
from latentprint.attack_engine.models.stealing import thief_images
from latentprint.attack_engine.models.victim import VictimJob
from latentprint.core.errors import UsageError, unknown_name
from latentprint.core.outputs import POSTERIOR
from latentprint.trainer import RECIPES, check_classes

Line = tuple[VictimChoice, ...]


def lines_of_descent(victims: Sequence[VictimChoice]) -> Mapping[str, Line]:
    """Each victim's line, from the one that is trained to itself, by name.

    Raises:
        UsageError: a victim of one that there is not, or of itself in the end; a probe of a classifier.
    """
    named = {victim.name: victim for victim in victims}
    found = {victim.name: _line(victim, named) for victim in victims}
    for name, line in found.items():
        if line[-1].probe is not None and _answers_posteriors(line[:-1]):
            raise UsageError(
                f"The victim {name!r} is a probe of {line[-2].name!r}, which is a classifier already: probe an encoder "
                "that answers no posteriors."
            )
    return found


def _line(victim: VictimChoice, named: Mapping[str, VictimChoice]) -> Line:
    line: Line = (victim,)
    while line[0].of:
        if line[0].of not in named:
            raise unknown_name(f"victim that {line[0].name!r} is derived from:", line[0].of, named)
        if line[0].of in {one.name for one in line}:
            names = " of ".join(repr(one.name) for one in reversed((named[line[0].of], *line)))
            raise UsageError(f"No victim can be derived from itself, as {names}: one of them has to have a recipe.")
        line = (named[line[0].of], *line)
    return line


def _answers_posteriors(line: Line) -> bool:
    """Whether the last of a line is a classifier: a thief copies the embedding alone."""
    last = line[-1]
    if last.recipe:
        return POSTERIOR in RECIPES.entry(last.recipe).needs["outputs"].split(", ")
    return last.probe is not None


def derived_job(choice: VictimChoice, parent: VictimJob, auxiliary: DrawnSamples | None, seed: int) -> VictimJob:
    """The job that makes a derived victim of its parent.

    Args:
        choice: the victim.
        parent: what it is derived from; its samples are the victim's.
        auxiliary: the adversary's samples of the same split; a thief asks about the distillation samples in it.
        seed: of all that is drawn for it.

    Raises:
        UsageError: fewer images than the thief asks about, or such as cannot be stolen with; members of one class
            alone for a probe.
    """
    of_parent = choice, parent.samples, seed, parent.store
    if choice.probe is not None:
        check_classes(parent.dataset.open(), parent.split)
        return ProbeJob(*of_parent, parent=parent, probing=choice.probe)
    if choice.steal is None or auxiliary is None or not len(auxiliary.split.distillation):
        raise UsageError(f"The thief {choice.name!r} has no images to ask about: give its split distillation samples.")
    try:
        thief_images(choice.steal, auxiliary.dataset.open(), auxiliary.split.distillation, seed)
    except UsageError as error:
        raise UsageError(f"The thief {choice.name!r}: {error}") from None
    return TheftJob(*of_parent, parent=parent, images=auxiliary, theft=choice.steal)
