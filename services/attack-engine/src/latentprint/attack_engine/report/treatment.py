"""The control experiment on how samples are treated, in words."""

from latentprint.attack_engine.questions.membership.results import Artefact
from latentprint.attack_engine.statistics.estimates import Estimate

CHANCE = 0.5


def reading(artefact: Artefact) -> str:
    """What one encoder's two results say."""
    if not artefact.trained:
        return (
            "trained on nobody: any excess is the treatment’s"
            if _above(artefact.as_published)
            else "trained on nobody, and no excess shown"
        )
    if _above(artefact.as_published) and not _above(artefact.alike):
        return "excess only where the two sides are treated differently"
    if _above(artefact.alike):
        return "excess with all samples treated alike too"
    return "no excess shown either way"


def _above(auc: Estimate) -> bool:
    return auc.interval.low > CHANCE
