"""Recipes: how victims are trained. Adding one touches its file, its test and one line here."""

from leakscope.core.registry import Registry
from leakscope.trainer.recipes.base import Method, Recipe
from leakscope.trainer.recipes.mae import MaskedAutoencoder
from leakscope.trainer.recipes.supervised import Supervised

__all__ = ["RECIPES", "Method", "Recipe"]

RECIPES: Registry[type[Recipe]] = Registry("recipe")

RECIPES.add(
    "mae",
    MaskedAutoencoder,
    summary="masked autoencoder on a small ViT",
    source="He et al., CVPR 2022, arXiv:2111.06377",
    needs={"outputs": "embedding, feature_map", "labels": "none"},
)
RECIPES.add(
    "supervised",
    Supervised,
    summary="classifier on a ResNet-18 with CIFAR stem, for posteriors",
    source="He et al., CVPR 2016, arXiv:1512.03385",
    needs={"outputs": "embedding, feature_map, posterior", "labels": "class"},
)
