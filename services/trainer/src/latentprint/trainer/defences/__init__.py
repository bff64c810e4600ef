"""Training-time defences. Adding one touches its file, its test and one line here."""

from latentprint.core.registry import Registry
from latentprint.trainer.defences.adv_reg import AdversarialRegularisation
from latentprint.trainer.defences.base import Defence, Plan
from latentprint.trainer.defences.dp_sgd import DpSgd
from latentprint.trainer.defences.early_stop import EarlyStop
from latentprint.trainer.defences.mixup_mmd import MixUpMatching
from latentprint.trainer.defences.scsr import ShrinkCropScaleRange
from latentprint.trainer.defences.strong_augmentation import StrongAugmentation

__all__ = ["DEFENCES", "Defence", "Plan"]

DEFENCES: Registry[type[Defence]] = Registry("defence")

_SOURCE = "PartCrop, CCS 2024, section on defences"

DEFENCES.add(
    "early-stop",
    EarlyStop,
    summary="publish the encoder of a fraction of the epochs (default: half)",
    source=_SOURCE,
    needs={"where": "training", "recipes": "any"},
)
DEFENCES.add(
    "scsr",
    ShrinkCropScaleRange,
    summary="shrinking crop-scale range: raise the lower bound of the training crop's scale",
    source=_SOURCE,
    needs={"where": "training", "recipes": "those with crop_scale_from below the new bound"},
)
DEFENCES.add(
    "strong-augmentation",
    StrongAugmentation,
    summary="random rotation, or MoCo's variants with mixtures (MixCo) or adversarial views (RoCL)",
    source="PartCrop, CCS 2024; arXiv:2010.06300; arXiv:2006.07589",
    needs={"where": "training", "recipes": "those with rotation; moco for mixup and adversarial"},
)
DEFENCES.add(
    "dp-sgd",
    DpSgd,
    summary="differential privacy: each record's gradient clipped, their sum blurred by noise",
    source="Abadi et al., CCS 2016, arXiv:1607.00133",
    needs={"where": "training", "recipes": "those whose loss is one of single records"},
)
_VALIDATED = {"where": "training", "recipes": "supervised, on a split with validation samples"}
DEFENCES.add(
    "adv-reg",
    AdversarialRegularisation,
    summary="adversarial regularisation: train the classifier against a network that infers membership",
    source="Nasr et al., CCS 2018, arXiv:1807.05852",
    needs=_VALIDATED,
)
DEFENCES.add(
    "mixup-mmd",
    MixUpMatching,
    summary="mix-up, and members' posteriors matched to those of held-out samples of the same classes",
    source="Li et al., CODASPY 2021, arXiv:2002.12062",
    needs=_VALIDATED,
)
