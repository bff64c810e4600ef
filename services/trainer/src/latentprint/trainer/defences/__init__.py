"""Training-time defences. Adding one touches its file, its test and one line here."""

from typing import TYPE_CHECKING

from latentprint.core.registry import Registry

if TYPE_CHECKING:
    from latentprint.trainer.defences.base import Defence

DEFENCES: "Registry[type[Defence]]" = Registry("defence")

_SOURCE = "PartCrop, CCS 2024, section on defences"

DEFENCES.add_lazily(
    "early-stop",
    f"{__name__}.early_stop:EarlyStop",
    summary="publish the encoder of a fraction of the epochs (default: half)",
    source=_SOURCE,
    needs={"where": "training", "recipes": "any"},
)
DEFENCES.add_lazily(
    "scsr",
    f"{__name__}.scsr:ShrinkCropScaleRange",
    summary="shrinking crop-scale range: raise the lower bound of the training crop's scale",
    source=_SOURCE,
    needs={"where": "training", "recipes": "those with crop_scale_from below the new bound"},
)
DEFENCES.add_lazily(
    "strong-augmentation",
    f"{__name__}.strong_augmentation:StrongAugmentation",
    summary="random rotation, or MoCo's variants with mixtures (MixCo) or adversarial views (RoCL)",
    source="PartCrop, CCS 2024; arXiv:2010.06300; arXiv:2006.07589",
    needs={"where": "training", "recipes": "those with rotation; moco for mixup and adversarial"},
)
DEFENCES.add_lazily(
    "dp-sgd",
    f"{__name__}.dp_sgd:DpSgd",
    summary="differential privacy: each record's gradient clipped, their sum blurred by noise",
    source="Abadi et al., CCS 2016, arXiv:1607.00133",
    needs={"where": "training", "recipes": "those whose loss is one of single records"},
)
_VALIDATED = {"where": "training", "recipes": "supervised, on a split with validation samples"}
DEFENCES.add_lazily(
    "adv-reg",
    f"{__name__}.adv_reg:AdversarialRegularisationDefence",
    summary="adversarial regularisation: train the classifier against a network that infers membership",
    source="Nasr et al., CCS 2018, arXiv:1807.05852",
    needs=_VALIDATED,
)
DEFENCES.add_lazily(
    "mixup-mmd",
    f"{__name__}.mixup_mmd:MixUpMatchingDefence",
    summary="mix-up, and members' posteriors matched to those of held-out samples of the same classes",
    source="Li et al., CODASPY 2021, arXiv:2002.12062",
    needs=_VALIDATED,
)
DEFENCES.add_lazily(
    "talos",
    f"{__name__}.talos:TalosDefence",
    summary="unlearn an attribute: train the encoder against a head that reads it from the embeddings",
    source="He and Zhang, CCS 2021, arXiv:2102.04140",
    needs={"where": "training", "recipes": "simclr, on a data set with the attribute"},
)
