"""Inference models by name: features in, scores out, higher for members. Adding one: its file, test, a line here."""

from typing import TYPE_CHECKING

from latentprint.core.registry import Registry

if TYPE_CHECKING:
    from latentprint.attack_engine.inference.base import InferenceModel

INFERENCE: "Registry[type[InferenceModel]]" = Registry("inference model")
INFERENCE.add_lazily("mlp", f"{__name__}.mlp:MlpClassifier", summary="the papers' MLP", source="PartCrop, CCS 2024")
INFERENCE.add_lazily("logistic", f"{__name__}.logistic:Logistic", summary="logistic regression", source="scikit-learn")
INFERENCE.add_lazily(
    "deep-sets", f"{__name__}.deep_sets:DeepSets", summary="a set network, blind to order", source="EncoderMI, CCS 2021"
)
INFERENCE.add_lazily(
    "threshold", f"{__name__}.threshold:MeanThreshold", summary="a threshold on the mean", source="EncoderMI, CCS 2021"
)
INFERENCE.add_lazily(
    "class-threshold",
    f"{__name__}.class_threshold:ClassThreshold",
    summary="a threshold a class",
    source="Song and Mittal, 2021",
)
INFERENCE.add_lazily(
    "fixed", f"{__name__}.fixed:Fixed", summary="a threshold that needs no fit", source="LiRA, S&P 2022"
)
INFERENCE.add_lazily(
    "gaussian-ratio",
    f"{__name__}.gaussian_ratio:GaussianRatio",
    summary="likelihood ratio of two Gaussians a feature",
    source="LpLA, AsiaCCS 2025",
)
INFERENCE.add_lazily(
    "attention-lstm",
    f"{__name__}.attention_lstm:AttentionLstm",
    summary="an LSTM that attends to its states",
    source="SeqMIA, CCS 2024",
)
INFERENCE.add_lazily(
    "transformer",
    f"{__name__}.transformer:SequenceTransformer",
    summary="a small transformer encoder",
    source="SeqMIA, CCS 2024",
)
INFERENCE.add_lazily(
    "knn", f"{__name__}.knn:NearestNeighbours", summary="k nearest neighbours", source="Cover and Hart, 1967"
)
INFERENCE.add_lazily(
    "gaussian-mixture",
    f"{__name__}.gaussian_mixture:GaussianMixtureDensity",
    summary="a Gaussian mixture of known members alone",
    source="Dziedzic et al., NeurIPS 2022",
)
INFERENCE.add_lazily(
    "linear-decoder",
    f"{__name__}.linear_decoder:LinearDecoder",
    summary="a linear decoder of known members alone",
    source="after DOV4MM, 2025",
)
INFERENCE.add_lazily(
    "standardised-mean",
    f"{__name__}.standardised_mean:StandardisedMean",
    summary="the features' mean, in units of known members' spread",
    source="after DOV4CL, ICLR 2025",
)
INFERENCE.add_lazily(
    "softmax-mlp",
    f"{__name__}.softmax_mlp:SoftmaxMlp",
    summary="an MLP for any number of classes",
    source="ContrastiveLeaks, CCS 2021",
)
INFERENCE.add_lazily(
    "majority-vote",
    f"{__name__}.majority_vote:MajorityVote",
    summary="the MLP's votes, counted",
    source="EncoderMI, 2021",
)
