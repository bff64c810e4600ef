"""Attacks by name. Adding one: its file, its test, one entry here. Their code is imported at its first use."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from latentprint.attack_engine.attacks.definition import ATTRIBUTES, OWNERSHIP, USERS, AttackDefinition
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


_MEMBERSHIP, _ATTRIBUTES = f"{__name__}.membership", f"{__name__}.attributes"
_OWNERSHIP = f"{__name__}.ownership"
_USERS = f"{__name__}.users"
_PAPER_MLP = {"hidden": (512, 256, 128)}
_SMALL_MLP = {"hidden": (256, 256)}
_CURVES = {"part_response": ("Part response", "image location, by rank of response", "mean response (softmax)")}
_ONLINE = {"references": {"online": True}}
_FROM_VICTIM = {"references": {"kind": "distilled"}}

# What each needs stands here in words, so that listing them imports none of their code; a test computes it from the
# attacks and compares.
_ONE_EMBEDDING = {"outputs": "embedding", "queries": "1 a sample", "shadows": "none"}
_VIEWS = {**_ONE_EMBEDDING, "queries": "10 a sample"}
_POSTERIOR = {"outputs": "posterior", "queries": "1 a sample", "shadows": "one, or known samples"}
_DISTILLED = {**_POSTERIOR, "queries": "1 a sample, 1 a distillation sample"}
_OFFLINE = {**_POSTERIOR, "shadows": "one, and reference models"}
_REFERENCES = {**_POSTERIOR, "shadows": "reference models"}
_POPULATION = {"queries": "1 a sample, 1 a distillation sample"}

ATTACKS.add(
    "partcrop",
    AttackDefinition(f"{_SIGNALS}.part_crops:PartCropSignal", "mlp", _PAPER_MLP, _CURVES),
    summary="energies of part crops against the image's own feature map",
    source="PartCrop, CCS 2024",
    needs={"outputs": "feature_map, embedding", "queries": "129 a sample", "shadows": "none"},
)
ATTACKS.add(
    "supervisedmi",
    AttackDefinition(f"{_SIGNALS}.answers:PlainAnswer", "mlp", _PAPER_MLP, options={"output": "embedding"}),
    summary="the embedding itself",
    source="PartCrop, CCS 2024",
    needs=_ONE_EMBEDDING,
)
ATTACKS.add(
    "embedding-norm",
    AttackDefinition(f"{_MEMBERSHIP}.embedding_norm:EmbeddingNorm", "threshold"),
    summary="the length of the embedding against a threshold",
    source="a plain baseline",
    needs=_ONE_EMBEDDING,
)
ATTACKS.add(
    "lpla",
    AttackDefinition(f"{_MEMBERSHIP}.lpla:Lpla", "gaussian-ratio"),
    summary="p-norms of the embedding under those of known members and non-members (LpLA)",
    source="LpLA, AsiaCCS 2025",
    needs=_ONE_EMBEDDING,
)
ATTACKS.add(
    "variance",
    AttackDefinition(f"{_SIGNALS}.views:VarianceSignal", "mlp", _PAPER_MLP),
    summary="variance of the embedding over rotated and translated views",
    source="PartCrop, CCS 2024",
    needs=_VIEWS,
)
ATTACKS.add(
    "encodermi",
    AttackDefinition(f"{_SIGNALS}.views:EncoderMISignal", "mlp", _SMALL_MLP),
    summary="pairwise similarity of augmented views (vector variant, EncoderMI-V)",
    source="EncoderMI, CCS 2021",
    needs=_VIEWS,
)
ATTACKS.add(
    "encodermi-s",
    AttackDefinition(f"{_SIGNALS}.views:EncoderMISignal", "deep-sets"),
    summary="pairwise similarity of augmented views (set variant, EncoderMI-S)",
    source="EncoderMI, CCS 2021",
    needs=_VIEWS,
)
ATTACKS.add(
    "encodermi-t",
    AttackDefinition(f"{_SIGNALS}.views:EncoderMISignal", "threshold"),
    summary="mean pairwise similarity of augmented views against a threshold (EncoderMI-T)",
    source="EncoderMI, CCS 2021",
    needs=_VIEWS,
)
ATTACKS.add(
    "seqmia",
    AttackDefinition(f"{_MEMBERSHIP}.seqmia:MetricSequence", "attention-lstm"),
    summary="metrics of the posterior over distilled snapshots, in order",
    source="SeqMIA, CCS 2024",
    needs=_DISTILLED,
)
ATTACKS.add(
    "seqmia-transformer",
    AttackDefinition(f"{_MEMBERSHIP}.seqmia:MetricSequence", "transformer"),
    summary="SeqMIA's sequences read by a transformer encoder",
    source="SeqMIA, CCS 2024",
    needs=_DISTILLED,
)
ATTACKS.add(
    "seqmia-encoder",
    AttackDefinition(f"{_MEMBERSHIP}.seqmia_encoder:DisagreementSequence", "attention-lstm", {"standardise": True}),
    summary="disagreement of distilled snapshots with the encoder's embedding or feature map, in order",
    source="after SeqMIA, CCS 2024",
    needs={**_DISTILLED, "outputs": "embedding"},
)
ATTACKS.add(
    "trajectorymia",
    AttackDefinition(
        f"{_MEMBERSHIP}.seqmia:MetricSequence",
        "mlp",
        {**_PAPER_MLP, "standardise": False},
        options={"metrics": ("loss",)},
    ),
    summary="losses over distilled snapshots, as a set",
    source="TrajectoryMIA, CCS 2022",
    needs=_DISTILLED,
)
ATTACKS.add(
    "st",
    AttackDefinition(f"{_MEMBERSHIP}.shadow_training:SortedPosterior", "mlp", {"hidden": (64,)}),
    summary="the sorted posterior, learned on one shadow model (shadow training)",
    source="Salem et al., NDSS 2019",
    needs=_POSTERIOR,
)
ATTACKS.add(
    "st-top-2",
    AttackDefinition(
        f"{_MEMBERSHIP}.shadow_training:SortedPosterior",
        "mlp",
        {"hidden": (64,)},
        options={"largest": 2, "correctness": True},
    ),
    summary="the two largest probabilities, and whether the predicted class is right, learned on one shadow model",
    source="ContrastiveLeaks, CCS 2021",
    needs=_POSTERIOR,
)
ATTACKS.add(
    "label-only",
    AttackDefinition(f"{_MEMBERSHIP}.label_only:LabelOnly", "threshold"),
    summary="distance to the decision boundary, found by predicted classes alone",
    source="Li and Zhang, CCS 2021",
    needs={**_POSTERIOR, "queries": "200 a sample"},
)
ATTACKS.add(
    "mba-confidence",
    AttackDefinition(f"{_MEMBERSHIP}.metric_threshold:OneMetric", "class-threshold", options={"metric": "loss"}),
    summary="probability of the sample's own class against a threshold a class",
    source="Song and Mittal, USENIX Security 2021",
    needs=_POSTERIOR,
)
ATTACKS.add(
    "mba-entropy",
    AttackDefinition(f"{_MEMBERSHIP}.metric_threshold:OneMetric", "class-threshold", options={"metric": "entropy"}),
    summary="entropy of the posterior against a threshold a class",
    source="Song and Mittal, USENIX Security 2021",
    needs=_POSTERIOR,
)
ATTACKS.add(
    "mba-m-entropy",
    AttackDefinition(f"{_MEMBERSHIP}.metric_threshold:OneMetric", "class-threshold", options={"metric": "m-entropy"}),
    summary="modified entropy of the posterior against a threshold a class",
    source="Song and Mittal, USENIX Security 2021",
    needs=_POSTERIOR,
)
ATTACKS.add(
    "lira",
    AttackDefinition(f"{_MEMBERSHIP}.lira:Lira", "threshold"),
    summary="scaled logit against reference models that never saw the sample (LiRA, offline)",
    source="LiRA, S&P 2022",
    needs=_OFFLINE,
)
ATTACKS.add(
    "lira-online",
    AttackDefinition(f"{_MEMBERSHIP}.lira:Lira", "fixed", options=_ONLINE),
    summary="scaled logit against reference models with and without the sample (LiRA, online)",
    source="LiRA, S&P 2022",
    needs=_REFERENCES,
)
ATTACKS.add(
    "enhancedmia-r",
    AttackDefinition(f"{_MEMBERSHIP}.enhanced_mia:EnhancedMia", "threshold"),
    summary="loss in the sample's own distribution over reference models",
    source="EnhancedMIA, CCS 2022",
    needs=_OFFLINE,
)
ATTACKS.add(
    "enhancedmia-d",
    AttackDefinition(
        f"{_MEMBERSHIP}.enhanced_mia:EnhancedMia", "threshold", options={"references": {"kind": "distilled"}}
    ),
    summary="loss in the sample's own distribution over models distilled from the victim",
    source="EnhancedMIA, CCS 2022",
    needs={**_DISTILLED, "shadows": "one"},
)
ATTACKS.add(
    "rmia",
    AttackDefinition(f"{_MEMBERSHIP}.rmia:Rmia", "threshold"),
    summary="likelihood ratio against a population and offline references",
    source="RMIA, ICML 2024",
    needs={**_OFFLINE, **_POPULATION},
)
ATTACKS.add(
    "rmia-online",
    AttackDefinition(f"{_MEMBERSHIP}.rmia:Rmia", "fixed", {"threshold": 0.5}, options=_ONLINE),
    summary="likelihood ratio against a population and online references",
    source="RMIA, ICML 2024",
    needs={**_REFERENCES, **_POPULATION},
)
ATTACKS.add(
    "bavaria",
    AttackDefinition(f"{_MEMBERSHIP}.bavaria:Bavaria", "threshold"),
    summary="LiRA offline with variances under a prior from all samples",
    source="BaVarIA, arXiv 2603.11799, 2026",
    needs=_OFFLINE,
)
ATTACKS.add(
    "bavaria-online",
    AttackDefinition(f"{_MEMBERSHIP}.bavaria:Bavaria", "fixed", options=_ONLINE),
    summary="LiRA online with variances under a prior from all samples",
    source="BaVarIA, arXiv 2603.11799, 2026",
    needs=_REFERENCES,
)
ATTACKS.add(
    "dataset-inference",
    AttackDefinition(f"{_OWNERSHIP}.dataset_inference:UnitEmbedding", "gaussian-mixture", question=OWNERSHIP),
    summary="likelihood of the embedding under a Gaussian mixture of known private images",
    source="Dziedzic et al., NeurIPS 2022",
    needs=_ONE_EMBEDDING,
)
ATTACKS.add(
    "view-relations",
    AttackDefinition(f"{_OWNERSHIP}.view_relations:ViewRelations", "standardised-mean", question=OWNERSHIP),
    summary="similarity of an image's global and local views (unary relations of DOV4CL)",
    source="DOV4CL, ICLR 2025",
    needs={**_ONE_EMBEDDING, "queries": "8 a sample"},
)
ATTACKS.add(
    "masked-reconstruction",
    AttackDefinition(f"{_OWNERSHIP}.masked_reconstruction:MaskedReconstruction", "linear-decoder", question=OWNERSHIP),
    summary="loss of restoring the embedding from that of the masked image, decoded as known private images are",
    source="after DOV4MM, 2025",
    needs={**_ONE_EMBEDDING, "queries": "5 a sample"},
)
ATTACKS.add(
    "attribute-inference",
    AttackDefinition(f"{_ATTRIBUTES}.attribute_inference:AttributeInference", "softmax-mlp", question=ATTRIBUTES),
    summary="an attribute of the sample, inferred from the embedding",
    source="ContrastiveLeaks, CCS 2021",
    needs=_ONE_EMBEDDING,
)
ATTACKS.add(
    "compactness",
    AttackDefinition(f"{_USERS}.compactness:Compactness", "mlp", {"hidden": (64, 32), "epochs": 300}, question=USERS),
    summary="how close a user's images lie together: distances to their centre and of all pairs",
    source="User-level membership inference against metric embedding learning, 2022",
    needs={**_ONE_EMBEDDING, "shadows": "one, or known samples"},
)
ATTACKS.add(
    "encodermi-vote",
    AttackDefinition(f"{_USERS}.encodermi_vote:EncoderMIVote", "majority-vote", question=USERS),
    summary="EncoderMI on each of a user's images, and a majority vote over them",
    source="EncoderMI, CCS 2021",
    needs={**_VIEWS, "shadows": "one, or known samples"},
)
