"""What a defence changed and whether a claim of privacy stands, in words."""

from collections.abc import Iterator

from latentprint.attack_engine.questions.membership.results import MembershipFinding
from latentprint.attack_engine.report import words
from latentprint.attack_engine.report.membership.claims import claim, contradicts
from latentprint.attack_engine.report.membership.trade_off import TradeOff, Variant

CHANCE = 0.5


def compare(defended: MembershipFinding, undefended: MembershipFinding) -> str:
    """What two AUC intervals show, in words.

    A difference counts as shown where the intervals do not overlap and the higher one lies above chance: an attack that
    does worse than guessing has not found less.
    """
    if not (defended.verdict.outcome.is_valid and undefended.verdict.outcome.is_valid):
        return "not comparable: an audit is not valid"
    now, before = defended.result.evaluation.auc.interval, undefended.result.evaluation.auc.interval
    if now.low > max(before.high, CHANCE):
        return "leaks more"
    if before.low > max(now.high, CHANCE):
        return "leaks less"
    return "no difference shown"


def signs(comparison: TradeOff) -> Iterator[tuple[str, str]]:
    """Each defence's name, and what it changed under which attacks."""
    for variant in comparison.defended:
        found: dict[str, list[str]] = {}
        for attack in comparison.attacks:
            found.setdefault(_sign(comparison, variant, attack), []).append(attack)
        yield variant.name, "; ".join(f"{sign} ({', '.join(attacks)})" for sign, attacks in found.items())


def contradictions(comparison: TradeOff) -> Iterator[str]:
    """A sentence for every claim of differential privacy that an audit contradicts."""
    for variant in comparison.variants:
        claimed = claim(variant.group.victim.training)
        for cell in variant.group.partial:
            if claimed is not None and contradicts(claimed, cell.finding):
                yield (
                    f"The accountant of {variant.group.victim.name} claims {claimed.text}; {cell.finding.attack.name} "
                    f"contradicts that: its lower bound is {_bound(cell.finding)}."
                )


def _sign(comparison: TradeOff, variant: Variant, attack: str) -> str:
    cell = variant.under(attack)
    original = comparison.undefended.under(attack) if comparison.undefended else None
    if cell is None:
        return "not run"
    return compare(cell.finding, original.finding) if original else "nothing to compare with"


def _bound(audit: MembershipFinding) -> str:
    bound = audit.result.evaluation.epsilon
    at, level = words.power(bound.delta), words.nominal(bound.level)
    return f"ε ≥ {words.decimal(bound.epsilon, 2)} at δ = {at}, with {level} confidence"
