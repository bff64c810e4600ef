"""Attacks by name. Adding one: its file, its test, one entry here. Their code is imported at its first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from latentprint.attack_engine.attacks.definition import AttackDefinition
from latentprint.core.registry import Registry

if TYPE_CHECKING:
    from latentprint.attack_engine.attacks.attack import Attack, AttackChoice

__all__ = ["ATTACKS", "Attack", "AttackChoice", "AttackDefinition"]

_SIGNALS = "latentprint.attack_engine.signals"

ATTACKS: Registry[AttackDefinition] = Registry("attack")


def __getattr__(name: str) -> Any:
    """Load `Attack` and `AttackChoice` from their module, which reads the registry."""
    if name not in ("Attack", "AttackChoice"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.attack"), name)


_PAPER_MLP = {"hidden": (512, 256, 128)}
_SMALL_MLP = {"hidden": (256, 256)}
_PARTCROP = "PartCrop, CCS 2024"
_ENCODERMI = "EncoderMI, CCS 2021"
_VIEWS = {"outputs": "embedding", "shadows": "none", "queries": "10 images a sample"}

ATTACKS.add(
    "partcrop",
    AttackDefinition(
        f"{_SIGNALS}.part_crops:PartCropSignal",
        "mlp",
        _PAPER_MLP,
        {"part_response": ("Part response", "image location, by rank of response", "mean response (softmax)")},
    ),
    summary="energies of part crops against the image's own feature map",
    source=_PARTCROP,
    needs={"outputs": "feature_map, embedding", "shadows": "none", "queries": "129 images a sample"},
)
ATTACKS.add(
    "supervisedmi",
    AttackDefinition(f"{_SIGNALS}.embedding:EmbeddingSignal", "mlp", _PAPER_MLP),
    summary="the embedding itself",
    source=_PARTCROP,
    needs={"outputs": "embedding", "shadows": "none", "queries": "1 image a sample"},
)
ATTACKS.add(
    "variance",
    AttackDefinition(f"{_SIGNALS}.views:VarianceSignal", "mlp", _PAPER_MLP),
    summary="variance of the embedding over rotated and translated views",
    source=_PARTCROP,
    needs=_VIEWS,
)
ATTACKS.add(
    "encodermi",
    AttackDefinition(f"{_SIGNALS}.views:EncoderMISignal", "mlp", _SMALL_MLP),
    summary="pairwise similarity of augmented views (vector variant, EncoderMI-V)",
    source=_ENCODERMI,
    needs=_VIEWS,
)
ATTACKS.add(
    "encodermi-s",
    AttackDefinition(f"{_SIGNALS}.views:EncoderMISignal", "deep-sets"),
    summary="pairwise similarity of augmented views (set variant, EncoderMI-S)",
    source=_ENCODERMI,
    needs=_VIEWS,
)
ATTACKS.add(
    "encodermi-t",
    AttackDefinition(f"{_SIGNALS}.views:EncoderMISignal", "threshold"),
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
    AttackDefinition(f"{__name__}.membership.posteriors:MetricSequence", "attention-lstm"),
    summary="metrics of the posterior over distilled snapshots, in order",
    source=_SEQMIA,
    needs=_DISTILLED,
)
ATTACKS.add(
    "seqmia-transformer",
    AttackDefinition(f"{__name__}.membership.posteriors:MetricSequence", "transformer"),
    summary="SeqMIA's sequences read by a transformer encoder",
    source=_SEQMIA,
    needs=_DISTILLED,
)
ATTACKS.add(
    "seqmia-encoder",
    AttackDefinition(
        f"{__name__}.membership.disagreement:DisagreementSequence",
        "attention-lstm",
        {"standardise": True},
    ),
    summary="disagreement of distilled snapshots with the encoder, in order",
    source="after SeqMIA, CCS 2024",
    needs={**_DISTILLED, "outputs": "embedding or feature_map", "shadows": "one, or known samples"},
)
ATTACKS.add(
    "trajectorymia",
    AttackDefinition(
        f"{__name__}.membership.posteriors:MetricSequence",
        "mlp",
        {**_PAPER_MLP, "standardise": False},
        options={"metrics": ("loss",)},
    ),
    summary="losses over distilled snapshots, as a set",
    source=_TRAJECTORY,
    needs=_DISTILLED,
)
ATTACKS.add(
    "st",
    AttackDefinition(f"{__name__}.membership.posteriors:SortedPosterior", "mlp", {"hidden": (64,)}),
    summary="the sorted posterior, learned on one shadow model (shadow training)",
    source="Salem et al., NDSS 2019",
    needs=_ONE_QUERY,
)
ATTACKS.add(
    "mba-entropy",
    AttackDefinition(f"{__name__}.membership.posteriors:OneMetric", "class-threshold", options={"metric": "entropy"}),
    summary="entropy of the posterior against a threshold a class",
    source="Song and Mittal, USENIX Security 2021",
    needs=_ONE_QUERY,
)
ATTACKS.add(
    "mba-m-entropy",
    AttackDefinition(f"{__name__}.membership.posteriors:OneMetric", "class-threshold", options={"metric": "m-entropy"}),
    summary="modified entropy of the posterior against a threshold a class",
    source="Song and Mittal, USENIX Security 2021",
    needs=_ONE_QUERY,
)
ATTACKS.add(
    "lira",
    AttackDefinition(f"{__name__}.membership.posteriors:Lira", "threshold"),
    summary="scaled logit against reference models that never saw the sample (LiRA, offline)",
    source=_LIRA,
    needs=_REFERENCES,
)
ATTACKS.add(
    "lira-online",
    AttackDefinition(f"{__name__}.membership.posteriors:Lira", "fixed", options=_ONLINE),
    summary="scaled logit against reference models with and without the sample (LiRA, online)",
    source=_LIRA,
    needs={**_REFERENCES, "shadows": "reference models"},
)
ATTACKS.add(
    "enhancedmia-r",
    AttackDefinition(f"{__name__}.membership.posteriors:EnhancedMia", "threshold"),
    summary="loss in the sample's own distribution over reference models",
    source=_ENHANCED,
    needs=_REFERENCES,
)
ATTACKS.add(
    "enhancedmia-d",
    AttackDefinition(
        f"{__name__}.membership.posteriors:EnhancedMia", "threshold", options={"references": {"kind": "distilled"}}
    ),
    summary="loss in the sample's own distribution over models distilled from the victim",
    source=_ENHANCED,
    needs=_DISTILLED,
)
ATTACKS.add(
    "rmia",
    AttackDefinition(f"{__name__}.membership.posteriors:Rmia", "threshold"),
    summary="likelihood ratio against a population and offline references",
    source=_RMIA,
    needs=_REFERENCES,
)
ATTACKS.add(
    "rmia-online",
    AttackDefinition(f"{__name__}.membership.posteriors:Rmia", "fixed", {"threshold": 0.5}, options=_ONLINE),
    summary="likelihood ratio against a population and online references",
    source=_RMIA,
    needs={**_REFERENCES, "shadows": "reference models"},
)
ATTACKS.add(
    "bavaria",
    AttackDefinition(f"{__name__}.membership.posteriors:Bavaria", "threshold"),
    summary="LiRA offline with variances under a prior from all samples",
    source=_BAVARIA,
    needs=_REFERENCES,
)
ATTACKS.add(
    "bavaria-online",
    AttackDefinition(f"{__name__}.membership.posteriors:Bavaria", "fixed", options=_ONLINE),
    summary="LiRA online with variances under a prior from all samples",
    source=_BAVARIA,
    needs={**_REFERENCES, "shadows": "reference models"},
)
