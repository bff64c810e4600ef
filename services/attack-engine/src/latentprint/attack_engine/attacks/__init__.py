"""Attacks by name. Adding one: its file, its test, one entry here."""

from dataclasses import replace

from latentprint.attack_engine.attacks.attack import ATTACKS, Attack, AttackChoice, AttackDefinition
from latentprint.attack_engine.attacks.membership.disagreement import IMITATION, DisagreementSequence
from latentprint.attack_engine.attacks.membership.posteriors import (
    Bavaria,
    EnhancedMia,
    Lira,
    MetricSequence,
    OneMetric,
    Rmia,
    SortedPosterior,
)
from latentprint.attack_engine.inference.attention_lstm import AttentionLstm
from latentprint.attack_engine.inference.class_threshold import ClassThreshold
from latentprint.attack_engine.inference.deep_sets import DeepSets
from latentprint.attack_engine.inference.fixed import Fixed
from latentprint.attack_engine.inference.mlp import Mlp
from latentprint.attack_engine.inference.threshold import MeanThreshold
from latentprint.attack_engine.inference.transformer import SequenceTransformer
from latentprint.attack_engine.signals.embedding import EmbeddingSignal
from latentprint.attack_engine.signals.part_crops import PartCropSignal
from latentprint.attack_engine.signals.views import EncoderMISignal, VarianceSignal

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

_SEQMIA = "SeqMIA, CCS 2024"
_LIRA = "LiRA, S&P 2022"
_TRAJECTORY = "TrajectoryMIA, CCS 2022"
_RMIA = "RMIA, ICML 2024"
_BAVARIA = "BaVarIA, arXiv 2603.11799, 2026"
_ENHANCED = "EnhancedMIA, CCS 2022"
_ONE_QUERY = {"outputs": "posterior", "shadows": "one", "queries": "1 sample a sample"}
_DISTILLED = {**_ONE_QUERY, "queries": "1 a sample, and 1 a distillation sample"}
_REFERENCES = {**_ONE_QUERY, "shadows": "one, and reference models"}
_ONLINE = {"references": {"online": True}}

ATTACKS.add(
    "seqmia",
    AttackDefinition(MetricSequence, AttentionLstm()),
    summary="metrics of the posterior over distilled snapshots, in order",
    source=_SEQMIA,
    needs=_DISTILLED,
)
ATTACKS.add(
    "seqmia-transformer",
    AttackDefinition(MetricSequence, SequenceTransformer()),
    summary="SeqMIA's sequences read by a transformer encoder",
    source=_SEQMIA,
    needs=_DISTILLED,
)
ATTACKS.add(
    "seqmia-encoder",
    AttackDefinition(DisagreementSequence, AttentionLstm(standardise=True), options={"distillation": IMITATION}),
    summary="disagreement of distilled snapshots with the encoder, in order",
    source="after SeqMIA, CCS 2024",
    needs={**_DISTILLED, "outputs": "embedding or feature_map", "shadows": "one, or known samples"},
)
ATTACKS.add(
    "trajectorymia",
    AttackDefinition(MetricSequence, replace(_PAPER_MLP, standardise=False), options={"metrics": ("loss",)}),
    summary="losses over distilled snapshots, as a set",
    source=_TRAJECTORY,
    needs=_DISTILLED,
)
ATTACKS.add(
    "st",
    AttackDefinition(SortedPosterior, Mlp(hidden=(64,))),
    summary="the sorted posterior, learned on one shadow model (shadow training)",
    source="Salem et al., NDSS 2019",
    needs=_ONE_QUERY,
)
ATTACKS.add(
    "mba-entropy",
    AttackDefinition(OneMetric, ClassThreshold(), options={"metric": "entropy"}),
    summary="entropy of the posterior against a threshold a class",
    source="Song and Mittal, USENIX Security 2021",
    needs=_ONE_QUERY,
)
ATTACKS.add(
    "mba-m-entropy",
    AttackDefinition(OneMetric, ClassThreshold(), options={"metric": "m-entropy"}),
    summary="modified entropy of the posterior against a threshold a class",
    source="Song and Mittal, USENIX Security 2021",
    needs=_ONE_QUERY,
)
ATTACKS.add(
    "lira",
    AttackDefinition(Lira, MeanThreshold()),
    summary="scaled logit against reference models that never saw the sample (LiRA, offline)",
    source=_LIRA,
    needs=_REFERENCES,
)
ATTACKS.add(
    "lira-online",
    AttackDefinition(Lira, Fixed(), options=_ONLINE),
    summary="scaled logit against reference models with and without the sample (LiRA, online)",
    source=_LIRA,
    needs={**_REFERENCES, "shadows": "reference models"},
)
ATTACKS.add(
    "enhancedmia-r",
    AttackDefinition(EnhancedMia, MeanThreshold()),
    summary="loss in the sample's own distribution over reference models",
    source=_ENHANCED,
    needs=_REFERENCES,
)
ATTACKS.add(
    "enhancedmia-d",
    AttackDefinition(EnhancedMia, MeanThreshold(), options={"references": {"kind": "distilled"}}),
    summary="loss in the sample's own distribution over models distilled from the victim",
    source=_ENHANCED,
    needs=_DISTILLED,
)
ATTACKS.add(
    "rmia",
    AttackDefinition(Rmia, MeanThreshold()),
    summary="likelihood ratio against a population and offline references",
    source=_RMIA,
    needs=_REFERENCES,
)
ATTACKS.add(
    "rmia-online",
    AttackDefinition(Rmia, Fixed(threshold=0.5), options=_ONLINE),
    summary="likelihood ratio against a population and online references",
    source=_RMIA,
    needs={**_REFERENCES, "shadows": "reference models"},
)
ATTACKS.add(
    "bavaria",
    AttackDefinition(Bavaria, MeanThreshold()),
    summary="LiRA offline with variances under a prior from all samples",
    source=_BAVARIA,
    needs=_REFERENCES,
)
ATTACKS.add(
    "bavaria-online",
    AttackDefinition(Bavaria, Fixed(), options=_ONLINE),
    summary="LiRA online with variances under a prior from all samples",
    source=_BAVARIA,
    needs={**_REFERENCES, "shadows": "reference models"},
)
