"""A linear probe: a classifier on the frozen embedding of a bundle's encoder, published with it as one bundle."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from latentprint.core.bundles import BundleCard, open_bundle, read_card, read_config
from latentprint.core.code_digest import code_digest
from latentprint.core.datasets.base import Dataset, DatasetSpec, Ids, Vectors
from latentprint.core.digests import digest_json
from latentprint.core.encoders import Encoder
from latentprint.core.errors import UsageError
from latentprint.core.outputs import EMBEDDING, POSTERIOR
from latentprint.core.splits import Split
from latentprint.core.versions import versions
from latentprint.trainer.evaluation import evaluate
from latentprint.trainer.members import classes as classes_of
from latentprint.trainer.workspace import Workspace

PROBE = "probe"
_BATCH = 256
_NEVER = -50.0  # logit of a class that no sample shows, after standardisation
_LIBRARIES = ("torch", "timm", "numpy", "scikit-learn", "latentprint-core", "latentprint-trainer")


@dataclass(frozen=True)
class ProbeOptions:
    """How a probe is fitted.

    Attributes:
        inverse_penalty: scikit-learn's C: the larger it is, the closer the probe fits the samples.
        steps: of the solver (L-BFGS), at most.
    """

    inverse_penalty: float = 1.0
    steps: int = 500

    def __post_init__(self) -> None:
        if self.inverse_penalty <= 0 or self.steps < 1:
            raise UsageError("probe: inverse_penalty must be above 0 and steps at least 1.")


@dataclass(frozen=True)
class LinearClassifier:
    """Logits of embeddings: `weight` float64 [C, D], `bias` float64 [C]."""

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]


def probe(bundle: Path, dataset: DatasetSpec, split: Split, folder: Path, options: ProbeOptions) -> BundleCard:
    """Fit a linear classifier to the embeddings of all members of `split`; write encoder and probe as one bundle.

    A logistic regression on standardised embeddings becomes the classifier of the encoder's own architecture. The new
    bundle gives the old one's answers unchanged, and posteriors. Where `folder` holds the bundle of this very probe, it
    is returned untouched.

    Args:
        bundle: of an encoder with an embedding and without posteriors.
        dataset: what `split` was drawn from.
        split: its members are what the probe learns; its non-members only measure accuracies.
        folder: the bundle to be; absent or empty.
        options: of the probe.

    Raises:
        UsageError: an encoder with posteriors already, or without a linear classifier in its architecture; members of
            a single class; a folder that holds something else.
        DataError: a damaged bundle, or a split of another data set.
    """
    card, opened = read_card(bundle), dataset.open()
    split.check(opened)
    if POSTERIOR in card.outputs or EMBEDDING not in card.outputs:
        raise UsageError(f"{bundle} gives {', '.join(card.outputs)}: a probe wants an embedding, and no posterior yet.")
    workspace = Workspace(folder, probe_identity(card.weights_digest, opened.digest, split.digest, options))
    finished = workspace.finished()
    if finished is not None:
        return finished
    model, arguments = _probed(bundle, opened, split.trained_ids, options)
    answering = Encoder(model, (EMBEDDING, POSTERIOR), card.mean, card.std)
    training = {
        "of": card.recipe,
        "of_weights": card.weights_digest,
        "members": len(split.trained_ids),
        **evaluate(answering, opened, split, quick=False),
        "identity": workspace.identity,
    }
    written = replace(
        card,
        recipe=PROBE,
        outputs=(*card.outputs, POSTERIOR),
        options=asdict(options),
        dataset={"name": dataset.name, "options": dict(dataset.options)},
        dataset_digest=opened.digest,
        split_digest=split.digest,
        training=training,
        versions=versions(*_LIBRARIES),
    )
    return workspace.publish(model, arguments, written)


def check_classes(dataset: Dataset, split: Split) -> None:
    """Raise `UsageError` where the members of `split` are all of one class, so that a probe cannot learn from them."""
    _require_two_classes(classes_of(dataset)[split.trained_ids])


def _require_two_classes(labels: NDArray[np.int64]) -> None:
    if len(np.unique(labels)) < 2:
        raise UsageError(f"A probe needs at least two classes; the {len(labels)} samples that it learns have one.")


def probe_identity(weights_digest: str, dataset_digest: str, split_digest: str, options: ProbeOptions) -> str:
    """SHA-256 (hex) of all that a probe depends on, the code that fits it included."""
    return digest_json([weights_digest, dataset_digest, split_digest, asdict(options), code_digest(probe)])


def fit_probe(vectors: Vectors, labels: NDArray[np.int64], classes: int, options: ProbeOptions) -> LinearClassifier:
    """Logistic regression of `labels` (int64 [S], below `classes`) on embeddings float32 [S, D], standardised.

    Classes that no sample shows are all but ruled out. Raises `UsageError` for samples of a single class.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    _require_two_classes(labels)
    scaler = StandardScaler().fit(vectors.astype(np.float64))
    fitted = LogisticRegression(C=options.inverse_penalty, max_iter=options.steps)
    fitted.fit(scaler.transform(vectors.astype(np.float64)), labels)
    slopes, offsets = fitted.coef_, fitted.intercept_
    if len(fitted.classes_) == 2:  # of one logit, half is one class's and half, turned, the other's
        slopes, offsets = np.concatenate([-slopes, slopes]) / 2, np.concatenate([-offsets, offsets]) / 2
    weight, bias = np.zeros((classes, vectors.shape[1])), np.full(classes, _NEVER)
    weight[fitted.classes_] = slopes / scaler.scale_
    bias[fitted.classes_] = offsets - weight[fitted.classes_] @ scaler.mean_
    return LinearClassifier(weight, bias)


def _probed(bundle: Path, dataset: Dataset, ids: Ids, options: ProbeOptions) -> tuple[nn.Module, Mapping[str, Any]]:
    """The encoder with a probe of the samples `ids` as its classifier, and what timm makes it with."""
    import timm

    encoder, _ = open_bundle(bundle, (EMBEDDING,))
    batches = (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))
    vectors = np.concatenate([encoder.answer(dataset.images(batch), (EMBEDDING,))[EMBEDDING] for batch in batches])
    labels = classes_of(dataset)
    fitted = fit_probe(vectors, labels[ids], int(labels.max()) + 1, options)
    config = read_config(bundle)
    arguments = {**config.get("model_args", {}), "num_classes": len(fitted.bias)}
    model = timm.create_model(config["architecture"], **arguments)
    classifier = model.get_classifier()
    if not isinstance(classifier, nn.Linear) or classifier.in_features != vectors.shape[1]:
        raise UsageError(f"The architecture {config['architecture']!r} has no linear classifier of its embedding.")
    model.load_state_dict(encoder.model.state_dict(), strict=False)
    with torch.no_grad():
        classifier.weight.copy_(torch.from_numpy(fitted.weight))
        classifier.bias.copy_(torch.from_numpy(fitted.bias))
    return model.eval(), arguments
