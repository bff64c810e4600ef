"""A comparison of defences as privacy-utility planes, one for each attack."""

from markupsafe import Markup

from latentprint.attack_engine.report.charts.plane import Spot, plane
from latentprint.attack_engine.report.trade_off import UTILITIES, TradeOff


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
            spots.append(Spot(accuracy, cell.audit.evaluation.auc, variant.label, defended))
    return plane(attack, UTILITIES[comparison.utility], spots)
