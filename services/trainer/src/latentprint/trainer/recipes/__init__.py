"""Recipes: how victims are trained. Adding one touches its file, its test and one line here."""

from typing import TYPE_CHECKING

from latentprint.core.registry import Registry

if TYPE_CHECKING:
    from latentprint.trainer.recipes.base import Recipe

RECIPES: "Registry[type[Recipe]]" = Registry("recipe")

_SELF_SUPERVISED = {"outputs": "embedding, feature_map", "labels": "none"}

RECIPES.add_lazily(
    "moco",
    f"{__name__}.moco:MomentumContrast",
    summary="momentum contrast with a queue, on a ResNet-18 with CIFAR stem, narrow by default",
    source="He et al., CVPR 2020, arXiv:1911.05722; Chen et al., 2020, arXiv:2003.04297",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "mae",
    f"{__name__}.mae:MaskedAutoencoder",
    summary="masked autoencoder on a small ViT",
    source="He et al., CVPR 2022, arXiv:2111.06377",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "dino",
    f"{__name__}.dino:SelfDistillation",
    summary="self-distillation without labels, multi-crop, on a small ViT",
    source="Caron et al., ICCV 2021, arXiv:2104.14294",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "cae",
    f"{__name__}.cae:ContextAutoencoder",
    summary="context autoencoder: predict latents of masked patches, on a small ViT; pixels as targets",
    source="Chen et al., IJCV 2023, arXiv:2202.03026",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "ibot",
    f"{__name__}.ibot:MaskedSelfDistillation",
    summary="self-distillation of images and of masked patches, multi-crop, on a small ViT",
    source="Zhou et al., ICLR 2022, arXiv:2111.07832",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "long-seq-mae",
    f"{__name__}.long_seq_mae:LongSequenceMaskedAutoencoder",
    summary="masked autoencoder with small patches masked in blocks, on a small ViT",
    source="Hu et al., 2022, arXiv:2210.07224",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "saim",
    f"{__name__}.saim:StochasticAutoregression",
    summary="autoregressive prediction of patches in a random order, on a small ViT",
    source="Qi et al., AAAI 2023, arXiv:2212.01610",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "supervised",
    f"{__name__}.supervised:Supervised",
    summary="classifier, for posteriors; ResNet, VGG, wide ResNet, MobileNetV2, or a perceptron on vectors",
    source="He et al., CVPR 2016, arXiv:1512.03385",
    needs={"outputs": "embedding, feature_map, posterior", "labels": "class"},
)
RECIPES.add_lazily(
    "simclr",
    f"{__name__}.simclr:SimpleContrast",
    summary="contrast with the other views of the batch, on a ResNet-18 with CIFAR stem",
    source="Chen et al., ICML 2020, arXiv:2002.05709",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "simsiam",
    f"{__name__}.simsiam:SimpleSiamese",
    summary="prediction of the other view with a stopped gradient, on a ResNet-18 with CIFAR stem",
    source="Chen and He, CVPR 2021, arXiv:2011.10566",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "swav",
    f"{__name__}.swav:SwappedAssignments",
    summary="swapped prediction of balanced clusters, multi-crop, on a ResNet-18 with CIFAR stem",
    source="Caron et al., NeurIPS 2020, arXiv:2006.09882",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "vicreg",
    f"{__name__}.vicreg:VarianceInvarianceCovariance",
    summary="agreeing views with varied and uncorrelated dimensions, on a ResNet-18 with CIFAR stem",
    source="Bardes et al., ICLR 2022, arXiv:2105.04906",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "mixco",
    f"{__name__}.mixco:MixUpContrast",
    summary="MoCo that also contrasts mixtures of two images",
    source="Kim et al., 2020, arXiv:2010.06300",
    needs=_SELF_SUPERVISED,
)
RECIPES.add_lazily(
    "rocl",
    f"{__name__}.rocl:AdversarialContrast",
    summary="MoCo that also contrasts adversarially changed views",
    source="Kim et al., NeurIPS 2020, arXiv:2006.07589",
    needs=_SELF_SUPERVISED,
)
_DEFENDED = {"outputs": "embedding, feature_map, posterior", "labels": "class", "samples": "validation"}
RECIPES.add_lazily(
    "adv-reg",
    f"{__name__}.adv_reg:AdversarialRegularisation",
    summary="supervised classifier that also confuses a network which infers membership",
    source="Nasr et al., CCS 2018, arXiv:1807.05852",
    needs=_DEFENDED,
)
RECIPES.add_lazily(
    "mixup-mmd",
    f"{__name__}.mixup_mmd:MixUpMatching",
    summary="supervised classifier on mixtures, whose posteriors of members match those of held-out samples",
    source="Li et al., CODASPY 2021, arXiv:2002.12062",
    needs=_DEFENDED,
)
RECIPES.add_lazily(
    "triplet",
    f"{__name__}.triplet:Triplet",
    summary="metric embedding of people by a batch's hardest triplets, on a LuNet (narrow by default) or ResNet-18",
    source="Hermans et al., 2017, arXiv:1703.07737",
    needs={"outputs": "embedding, feature_map", "labels": "the split's users, else class"},
)
RECIPES.add_lazily(
    "talos",
    f"{__name__}.talos:Talos",
    summary="SimCLR whose encoder unlearns an attribute, against a head that reads it from the embeddings",
    source="He and Zhang, CCS 2021, arXiv:2102.04140",
    needs={"outputs": "embedding, feature_map", "labels": "the attribute that it names"},
)
