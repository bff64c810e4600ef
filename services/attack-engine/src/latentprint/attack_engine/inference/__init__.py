"""Inference models by name: signals in, scores out, higher for members. Adding one: its file, its test, a line here."""

from latentprint.attack_engine.inference.attention_lstm import AttentionLstm
from latentprint.attack_engine.inference.base import InferenceModel
from latentprint.attack_engine.inference.class_threshold import ClassThreshold
from latentprint.attack_engine.inference.deep_sets import DeepSets
from latentprint.attack_engine.inference.fixed import Fixed
from latentprint.attack_engine.inference.logistic import Logistic
from latentprint.attack_engine.inference.mlp import Mlp
from latentprint.attack_engine.inference.threshold import MeanThreshold
from latentprint.attack_engine.inference.transformer import SequenceTransformer
from latentprint.core.registry import Registry

__all__ = ["INFERENCE"]

INFERENCE: Registry[type[InferenceModel]] = Registry("inference model")
INFERENCE.add("mlp", Mlp, summary="the papers' MLP", source="PartCrop, CCS 2024")
INFERENCE.add("logistic", Logistic, summary="logistic regression", source="scikit-learn")
INFERENCE.add("deep-sets", DeepSets, summary="a set network, blind to order", source="EncoderMI, CCS 2021")
INFERENCE.add("threshold", MeanThreshold, summary="a threshold on the mean", source="EncoderMI, CCS 2021")
INFERENCE.add("class-threshold", ClassThreshold, summary="a threshold a class", source="Song and Mittal, 2021")
INFERENCE.add("fixed", Fixed, summary="a threshold that needs no fit", source="LiRA, S&P 2022")
INFERENCE.add("attention-lstm", AttentionLstm, summary="an LSTM that attends to its states", source="SeqMIA, CCS 2024")
INFERENCE.add("transformer", SequenceTransformer, summary="a small transformer encoder", source="SeqMIA, CCS 2024")
