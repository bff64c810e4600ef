"""What is known of an audit's verdict before the first query: what would make it invalid, and the most it can say."""

from collections.abc import Iterator

import numpy as np

from latentprint.attack_engine.attacks.fitting.scoring import exchanged
from latentprint.attack_engine.inference.base import BOTH_SIDES
from latentprint.attack_engine.questions.membership.wording import rate_words
from latentprint.attack_engine.statistics.blind import Blind
from latentprint.attack_engine.statistics.tail import TAIL_FPRS, tail_target
from latentprint.core.splits import COIN, EVALUATION, Split


def forecast(split: Split, blind: Blind, *, untrained: bool, placebo: bool, fitted: bool = True) -> Iterator[str]:
    """What the samples make invalid, or else what the controls that there will be allow to be said.

    Args:
        split: the samples.
        blind: their blind baseline.
        untrained: whether an untrained twin will be asked.
        placebo: whether a trained encoder that saw none of the samples will be asked.
        fitted: whether some attack is fitted on known samples of the victim.
    """
    auc = blind.baseline.auc
    if blind.baseline.above_chance:
        yield (
            "This audit will not be valid: the images alone tell members from non-members without asking the encoder "
            f"(blind baseline: {rate_words(auc.value, auc.interval)}). Draw members and non-members alike."
        )
        return
    others = exchanged(split, np.random.default_rng(0), known=BOTH_SIDES if fitted else ())
    if not (untrained or placebo or others):
        yield (
            "This audit will not be valid: there is no untrained encoder, no placebo, and too few non-members to put "
            "half of them in the members' place. Name an untrained encoder (--untrained), or add non-members."
        )
    elif not untrained:
        yield (
            'The most that this audit can say is "leak indicated": no untrained encoder of the same architecture is '
            "asked. Name one (--untrained)."
        )
    elif not placebo and split.split_by != COIN:
        yield (
            'The most that this audit can say is "leak found, if members and non-members were drawn alike": name a '
            "trained encoder that saw neither (--reference), or say that a coin told them apart (--split-by coin)."
        )
    evaluated = len(split.ids(member=False, role=EVALUATION))
    if tail_target(evaluated) is None:
        yield (
            f"A leak in the tail cannot be looked for with {evaluated:,} evaluated non-members: it takes at least "
            f"{round(1 / max(TAIL_FPRS)):,}."
        )
