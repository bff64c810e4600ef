"""SCSR's two-stage search for the crop scale's lower bound: which bounds are tried, and which of them is best.

Source: PartCrop, CCS 2024, defence SCSR: coarse lower bounds first, then fine steps between the best two.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

from latentprint.core.errors import UsageError
from latentprint.trainer import DefenceSpec

_ROUNDING = 1e-9  # a utility that is exactly at the limit is within it


@dataclass(frozen=True)
class SearchChoice:
    """A search for the lower bound that defends one victim best against one attack.

    Attributes:
        victim: an undefended victim of the experiment.
        attack: one of its attacks, by label or name.
        coarse: lower bounds of the first stage.
        step: distance of the second stage's bounds.
        utility_loss: linear-probe accuracy, as a fraction, that a candidate may lose to the undefended victim.
    """

    victim: str
    attack: str
    coarse: tuple[float, ...] = (0.3, 0.4, 0.5)
    step: float = 0.02
    utility_loss: float = 0.05

    def name(self, lower: float) -> str:
        """Name of the candidate with a lower bound."""
        return f"{self._prefix}{lower}"

    def check(self, names: Collection[str]) -> None:
        """Raise `UsageError` unless the bounds make two stages, and the candidates' names differ from `names`."""
        where = f"The search on {self.victim!r}"
        bounds = sorted(set(self.coarse))
        if len(bounds) < 2 or len(bounds) < len(self.coarse):
            raise UsageError(f"{where}: coarse needs at least two lower bounds, all different.")
        if self.step <= 0 or not all(second_stage(*pair, self.step) for pair in pairwise(bounds)):
            raise UsageError(
                f"{where}: step {self.step:g} must lie above 0, and below the distance of any two coarse bounds."
            )
        if self.utility_loss < 0:
            raise UsageError(f"{where}: utility_loss {self.utility_loss:g} must be at least 0.")
        for name in names:
            if name.startswith(self._prefix):
                raise UsageError(f"{where} names its candidates {self._prefix}...: give the victim {name!r} another.")

    @property
    def _prefix(self) -> str:
        return f"{self.victim}-scsr-"


def scsr(lower: float) -> DefenceSpec:
    """The defence with a lower bound."""
    return DefenceSpec("scsr", {"lower": lower})


@dataclass(frozen=True)
class Tried:
    """A lower bound that was tried.

    Attributes:
        lower: the bound.
        stage: 1 or 2.
        auc: the attack's cross-validated AUC over the known samples.
        probe_accuracy: the candidate's linear-probe accuracy as a fraction; None where it was not measured.
    """

    lower: float
    stage: int
    auc: float
    probe_accuracy: float | None


def ranked(tried: Sequence[Tried], least_utility: float | None) -> list[Tried]:
    """Best first: the lowest AUC of those that are accurate enough, then of the others.

    Of equal AUCs, the more accurate comes first, then the smaller bound.

    Args:
        tried: in any order.
        least_utility: linear-probe accuracy from which a candidate is accurate enough; None where none is known.
    """

    def place(one: Tried) -> tuple[bool, float, float, float]:
        accuracy = -1.0 if one.probe_accuracy is None else one.probe_accuracy
        useful = least_utility is not None and accuracy >= least_utility - _ROUNDING
        return not useful, one.auc, -accuracy, one.lower

    return sorted(tried, key=place)


def second_stage(first: float, second: float, step: float, tried: Collection[float] = ()) -> tuple[float, ...]:
    """Bounds in steps of `step` strictly between two others, without those of `tried`; each is its decimal exactly."""
    return tuple(bound for bound in _between(min(first, second), max(first, second), step) if bound not in tried)


def _between(low: float, high: float, step: float) -> Iterator[float]:
    """In decimal arithmetic: sums of binary fractions drift, and 0.3 + 0.02 + 0.02 is not 0.34."""
    stride, end = Decimal(str(step)), Decimal(str(high))
    bound = Decimal(str(low)) + stride
    while bound < end:
        yield float(bound)
        bound += stride
