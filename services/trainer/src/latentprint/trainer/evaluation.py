"""How good an encoder's features and answers are: members as bank, non-members as queries."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.core.datasets.base import Dataset, Ids
from latentprint.core.encoders import Encoder
from latentprint.core.errors import UsageError
from latentprint.core.outputs import EMBEDDING, POSTERIOR
from latentprint.core.samples import Samples
from latentprint.core.splits import Split
from latentprint.trainer.members import classes

Vectors = NDArray[np.float32]
Labels = NDArray[np.int64]
_BATCH = 256
_LIMIT = 10_000
_PROBE_LIMIT = 2_000


@dataclass(frozen=True)
class LabelledVectors:
    """Embeddings [S, D], their classes [S], and the classes that a classifier gives them [S], None without one."""

    vectors: Vectors
    labels: Labels
    answered: Labels | None = None


def knn_accuracy(bank: LabelledVectors, queries: LabelledVectors, neighbours: int = 20) -> float:
    """Fraction of queries whose class is the majority among the nearest of the bank by cosine similarity.

    Source: Wu et al., CVPR 2018, with plain votes.
    """
    from sklearn.neighbors import KNeighborsClassifier

    count = min(neighbours, len(bank.vectors))
    model = KNeighborsClassifier(count, metric="cosine", algorithm="brute")
    return float(model.fit(bank.vectors, bank.labels).score(queries.vectors, queries.labels))


def probe_accuracy(bank: LabelledVectors, queries: LabelledVectors) -> float:
    """Accuracy on the queries of a logistic regression fitted to the bank's standardised embeddings."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    return float(model.fit(bank.vectors, bank.labels).score(queries.vectors, queries.labels))


def embed(encoder: Encoder, dataset: Dataset, ids: Ids) -> LabelledVectors:
    """Embeddings of whole images, and their classes; at most 10,000 samples, evenly spaced."""
    chosen = ids[_spaced(len(ids), _LIMIT)]
    parts = [
        encoder.answer(dataset.images(chosen[start : start + _BATCH]), encoder.outputs)
        for start in range(0, len(chosen), _BATCH)
    ]
    vectors, labels = np.concatenate([part[EMBEDDING] for part in parts]), classes(dataset)[chosen]
    if POSTERIOR not in encoder.outputs:
        return LabelledVectors(vectors, labels)
    return LabelledVectors(vectors, labels, np.concatenate([part[POSTERIOR].argmax(axis=1) for part in parts]))


def classifier_accuracies(bank: LabelledVectors, queries: LabelledVectors) -> dict[str, float]:
    """`train_accuracy` and `test_accuracy` of the classifier itself; empty where there is none."""
    named = {"train_accuracy": bank, "test_accuracy": queries}
    return {
        name: float((samples.answered == samples.labels).mean())
        for name, samples in named.items()
        if samples.answered is not None
    }


def _spaced(count: int, limit: int) -> NDArray[np.int64]:
    return np.linspace(0, count - 1, min(count, limit)).astype(np.int64)


def _check_answers(encoder: Encoder, samples: Samples) -> None:
    answers = encoder.answer(samples, encoder.outputs)
    for name, values in answers.items():
        if not np.isfinite(values).all():
            raise UsageError(
                f"The training diverged: the encoder's {name} is not finite. Set a lower learning_rate or a longer "
                "warmup, or train with precision fp32."
            )


def evaluate(encoder: Encoder, dataset: Dataset, split: Split, *, quick: bool) -> dict[str, float]:
    """`knn_accuracy` and `probe_accuracy`, and where the encoder has a posterior its `train_` and `test_accuracy`.

    Empty where there is nobody to ask or one class only. At most 10,000 members and as many non-members are asked.

    Where `quick`, the probe is fitted to at most 2,000 members, so that it can follow a training.
    Nothing here feeds back into training, which never reads a non-member.

    Raises:
        UsageError: the encoder answers members with what is not finite.
    """
    members, others = split.trained_ids, split.ids(member=False)
    _check_answers(encoder, dataset.images(members[:_BATCH]))
    if len(others) == 0 or len(np.unique(classes(dataset)[members])) < 2:
        return {}
    bank, queries = embed(encoder, dataset, members), embed(encoder, dataset, others)
    fitted = _spaced(len(bank.vectors), _PROBE_LIMIT if quick else _LIMIT)
    probed = LabelledVectors(bank.vectors[fitted], bank.labels[fitted])
    features = {"knn_accuracy": knn_accuracy(bank, queries), "probe_accuracy": probe_accuracy(probed, queries)}
    return {**features, **classifier_accuracies(bank, queries)}
