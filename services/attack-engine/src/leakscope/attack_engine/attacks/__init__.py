"""Attacks by name. Adding one: its file, its test, one entry here."""

from leakscope.attack_engine.attacks.attack import ATTACKS, Attack, AttackChoice, AttackDefinition
from leakscope.attack_engine.attacks.embedding import EmbeddingSignal
from leakscope.attack_engine.attacks.inference.deep_sets import DeepSets
from leakscope.attack_engine.attacks.inference.mlp import Mlp
from leakscope.attack_engine.attacks.inference.threshold import MeanThreshold
from leakscope.attack_engine.attacks.partcrop import PartCropSignal
from leakscope.attack_engine.attacks.views import EncoderMISignal, VarianceSignal

__all__ = ["ATTACKS", "Attack", "AttackChoice", "AttackDefinition"]

_PAPER_MLP = Mlp(hidden=(512, 256, 128))
_SMALL_MLP = Mlp(hidden=(256, 256))
_PARTCROP = "PartCrop, CCS 2024"
_ENCODERMI = "EncoderMI, CCS 2021"
_VIEWS = {"outputs": "embedding", "shadows": "none", "queries": "10 images a sample"}

ATTACKS.add(
    "partcrop",
    AttackDefinition(
        PartCropSignal,
        _PAPER_MLP,
        {"part_response": ("Part response", "image location, by rank of response", "mean response (softmax)")},
    ),
    summary="energies of part crops against the image's own feature map",
    source=_PARTCROP,
    needs={"outputs": "feature_map, embedding", "shadows": "none", "queries": "129 images a sample"},
)
ATTACKS.add(
    "supervisedmi",
    AttackDefinition(EmbeddingSignal, _PAPER_MLP, {}),
    summary="the embedding itself",
    source=_PARTCROP,
    needs={"outputs": "embedding", "shadows": "none", "queries": "1 image a sample"},
)
ATTACKS.add(
    "variance",
    AttackDefinition(VarianceSignal, _PAPER_MLP, {}),
    summary="variance of the embedding over rotated and translated views",
    source=_PARTCROP,
    needs=_VIEWS,
)
ATTACKS.add(
    "encodermi",
    AttackDefinition(EncoderMISignal, _SMALL_MLP, {}),
    summary="pairwise similarity of augmented views (vector variant, EncoderMI-V)",
    source=_ENCODERMI,
    needs=_VIEWS,
)
ATTACKS.add(
    "encodermi-s",
    AttackDefinition(EncoderMISignal, DeepSets(), {}),
    summary="pairwise similarity of augmented views (set variant, EncoderMI-S)",
    source=_ENCODERMI,
    needs=_VIEWS,
)
ATTACKS.add(
    "encodermi-t",
    AttackDefinition(EncoderMISignal, MeanThreshold(), {}),
    summary="mean pairwise similarity of augmented views against a threshold (EncoderMI-T)",
    source=_ENCODERMI,
    needs=_VIEWS,
)
