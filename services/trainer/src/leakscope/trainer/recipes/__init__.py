"""Recipes: how victims are trained. Adding one touches its file, its test and one line here."""

from leakscope.core.registry import Registry
from leakscope.trainer.recipes.base import Method, Recipe
from leakscope.trainer.recipes.dino import SelfDistillation
from leakscope.trainer.recipes.mae import MaskedAutoencoder
from leakscope.trainer.recipes.moco import MomentumContrast
from leakscope.trainer.recipes.supervised import Supervised

__all__ = ["RECIPES", "Method", "Recipe"]

RECIPES: Registry[type[Recipe]] = Registry("recipe")

_SELF_SUPERVISED = {"outputs": "embedding, feature_map", "labels": "none"}

RECIPES.add(
    "moco",
    MomentumContrast,
    summary="momentum contrast with a queue, on a ResNet-18 with CIFAR stem, narrow by default",
    source="He et al., CVPR 2020, arXiv:1911.05722; Chen et al., 2020, arXiv:2003.04297",
    needs=_SELF_SUPERVISED,
)
RECIPES.add(
    "mae",
    MaskedAutoencoder,
    summary="masked autoencoder on a small ViT",
    source="He et al., CVPR 2022, arXiv:2111.06377",
    needs=_SELF_SUPERVISED,
)
RECIPES.add(
    "dino",
    SelfDistillation,
    summary="self-distillation without labels, multi-crop, on a small ViT",
    source="Caron et al., ICCV 2021, arXiv:2104.14294",
    needs=_SELF_SUPERVISED,
)
RECIPES.add(
    "supervised",
    Supervised,
    summary="classifier on a ResNet-18 with CIFAR stem, for posteriors",
    source="He et al., CVPR 2016, arXiv:1512.03385",
    needs={"outputs": "embedding, feature_map, posterior", "labels": "class"},
)
