"""Defended victims beside the undefended one that each comes from: what is compared, and what that shows.

A victim's undefended original is one without defences that was trained on the same data set and split from the same
seed, by the same recipe or by one whose every option it keeps (a defence may turn a recipe into one that extends it).
Of several, it is the one that differs in the fewest options.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from latentprint.attack_engine.report import words
from latentprint.attack_engine.report.charts.plane import Spot, plane
from latentprint.attack_engine.report.membership.claims import claim, number
from latentprint.attack_engine.report.page import Cell, Group

UTILITIES: Mapping[str, str] = {"probe_accuracy": "Linear-probe accuracy", "knn_accuracy": "k-NN accuracy"}


@dataclass(frozen=True)
class Variant:
    """A victim of a comparison. `label` names its defences briefly, `name` with all their options."""

    group: Group
    label: str
    name: str

    def under(self, attack: str) -> Cell | None:
        """Its audit by `attack` in the partial setting (the first, where there are several)."""
        return next((cell for cell in self.group.partial if cell.finding.attack.name == attack), None)

    def utility(self, name: str) -> float | None:
        """An accuracy of the victim itself, as a fraction; None where it was not measured."""
        return number(self.group.victim.training, name)


@dataclass(frozen=True)
class TradeOff:
    """Defended victims of one original, which is None where no such victim was audited."""

    anchor: str
    undefended: Variant | None
    defended: tuple[Variant, ...]

    @property
    def title(self) -> str:
        """The original's name, or what stands in for it."""
        return self.undefended.group.victim.name if self.undefended else "Defended victims without an undefended one"

    @property
    def variants(self) -> tuple[Variant, ...]:
        """All victims, the undefended one first."""
        return (*([self.undefended] if self.undefended else []), *self.defended)

    @property
    def attacks(self) -> tuple[str, ...]:
        """Every attack on any of the victims."""
        return tuple(dict.fromkeys(cell.finding.attack.name for one in self.variants for cell in one.group.partial))

    @property
    def utility(self) -> str | None:
        """The first accuracy that all the victims have: the horizontal axis of the planes."""
        known = (name for name in UTILITIES if all(one.utility(name) is not None for one in self.variants))
        return next(known, None)


def trade_offs(groups: Sequence[Group]) -> Iterator[TradeOff]:
    """Every comparison that a report's victims allow, in the order of their first defended victim."""
    audited = [group for group in groups if group.partial and "defences" in group.victim.training]
    plain = [group for group in audited if not group.victim.training["defences"]]
    families: dict[str, tuple[Group | None, list[Group]]] = {}
    for group in audited:
        if group.victim.training["defences"]:
            original = _original(group, plain)
            families.setdefault(original.anchor if original else "", (original, []))[1].append(group)
    for place, (original, defended) in enumerate(families.values(), 1):
        first = Variant(original, "undefended", "none") if original else None
        yield TradeOff(f"trade-off-{place}", first, tuple(_variants(defended)))


def plane_of(comparison: TradeOff, attack: str) -> Markup:
    """The plane of `attack`, with those victims that it was run on.

    Raises:
        ValueError: the comparison has no accuracy that all its victims share.
    """
    if comparison.utility is None:
        raise ValueError("without an accuracy of every victim there is no plane")
    spots = []
    for variant in comparison.variants:
        cell, accuracy = variant.under(attack), variant.utility(comparison.utility)
        if cell is not None and accuracy is not None:
            defended = variant is not comparison.undefended
            spots.append(Spot(accuracy, cell.finding.result.evaluation.auc, variant.label, defended))
    return plane(attack, UTILITIES[comparison.utility], spots)


def _original(group: Group, plain: Sequence[Group]) -> Group | None:
    candidates = [other for other in plain if _comes_from(group, other)]
    return min(candidates, key=lambda other: _differences(group, other), default=None)


def _comes_from(group: Group, other: Group) -> bool:
    own, given = group.victim.training, other.victim.training
    if _origin(group) != _origin(other):
        return False
    same_recipe = own.get("of_recipe", own.get("recipe")) == given.get("recipe")
    return same_recipe or _options(given).items() <= _options(own).items()


def _origin(group: Group) -> tuple[str, str, Any]:
    """What a training starts from: data, split and seed."""
    audit = group.partial[0].finding
    return audit.digests["dataset"], audit.digests["split"], group.victim.training.get("seed")


def _options(training: Mapping[str, Any]) -> dict[str, str]:
    options = {**training.get("options", {}), "epochs": training.get("epochs")}
    return {key: words.plain(value) for key, value in options.items()}


def _differences(group: Group, other: Group) -> int:
    """How many options (epochs among them) have another value, or are one's alone."""
    own, given = _options(group.victim.training), _options(other.victim.training)
    return len({key for key, _ in own.items() ^ given.items()})


def _variants(groups: Sequence[Group]) -> Iterator[Variant]:
    """Each victim labelled by its defences' first options, or by all of them where that is not unique."""
    brief = [_brief(group) for group in groups]
    repeated = Counter(brief)
    for group, label in zip(groups, brief, strict=True):
        name = _described(group)
        yield Variant(group, name if repeated[label] > 1 else label, name)


def _brief(group: Group) -> str:
    """The victim's defences with the first option of each, or with epsilon where they claim one."""
    claimed = claim(group.victim.training)
    if claimed is None:
        return _described(group, options=1)
    return f"{_described(group, options=0)} (ε ≤ {words.decimal(claimed.epsilon, 2)})"


def _described(group: Group, options: int | None = None) -> str:
    """The victim's defences, each with its first `options` options in brackets (None: with all)."""
    return " + ".join(_defence(defence, options) for defence in group.victim.training["defences"])


def _defence(defence: Mapping[str, Any], options: int | None) -> str:
    given = list(words.rows(defence.get("options", {})))[:options]
    values = ", ".join(f"{key} {value}" for key, value in given)
    return f"{defence['name']} ({values})" if values else str(defence["name"])
