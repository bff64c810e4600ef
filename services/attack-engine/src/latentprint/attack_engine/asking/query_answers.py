"""The answers to one query, put together from parts and checked."""

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.asking.endpoint import Answers
from latentprint.core.errors import EndpointError
from latentprint.core.outputs import POSTERIOR

_SUM_ERROR = 0.02  # of a posterior's sum: half precision rounds every entry


class QueryAnswers:
    """Answers to `count` samples from `url`, row by row."""

    def __init__(self, url: str, count: int) -> None:
        self._url, self._count = url, count
        self._answers: Answers = {}

    def place(self, rows: NDArray[np.int64], found: Answers) -> None:
        """Put answers, float32 [B, ...] each, to the samples at `rows` [B].

        Raises:
            EndpointError: another number of answers than of samples, or other shapes than before.
        """
        for name, values in found.items():
            if len(values) != len(rows):
                raise _other_number(self._url, name, len(values), len(rows))
            if name not in self._answers:
                self._answers[name] = np.empty((self._count, *values.shape[1:]), dtype=np.float32)
            if self._answers[name].shape[1:] != values.shape[1:]:
                shapes = f"{list(self._answers[name].shape[1:])} and {list(values.shape[1:])}"
                raise EndpointError(
                    f"{self._url} answered {name!r} of the shapes {shapes} to samples of one size: if its model "
                    "changed, run the command again."
                )
            self._answers[name][rows] = values

    def repeated(self, rows: NDArray[np.int64]) -> Answers:
        """The answers in the order of `rows`, of the same length: a sample's that is in the query more than once."""
        if (rows == np.arange(self._count)).all():
            return self._answers
        return {name: values[rows] for name, values in self._answers.items()}


def _other_number(url: str, name: str, rows: int, count: int) -> EndpointError:
    return EndpointError(f"{url} answered {rows} rows of {name!r} for {count} images: it is not usable as it is.")


def check_vectors(url: str, name: str, answers: Answers, count: int) -> None:
    """Raise `EndpointError` unless output `name` holds `count` finite vectors, none of them all zeros."""
    if name not in answers or len(answers[name]) != count:
        raise _other_number(url, name, len(answers[name]) if name in answers else 0, count)
    rows2 = answers[name].reshape(count, -1)
    finite = np.isfinite(rows2).all(axis=1)
    bad, empty = int((~finite).sum()), int((~rows2.any(axis=1)).sum())
    if bad or empty:
        raise EndpointError(
            f"{url} answered {bad} non-finite and {empty} all-zero {name!r} vectors for {count} images: "
            "no attack can use them; look at the model it serves."
        )
    if name == POSTERIOR:
        _check_posterior(url, rows2)


def _check_posterior(url: str, rows: NDArray[np.float32]) -> None:
    """Raise `EndpointError` unless rows [B, C] are probabilities, within what half precision rounds away."""
    total = rows.sum(axis=1)
    if rows.min() < -_SUM_ERROR or np.abs(total - 1.0).max() > _SUM_ERROR:
        raise EndpointError(
            f"{url} answered a posterior that is none: values from {rows.min():.3g} to {rows.max():.3g} that sum to "
            f"{total.min():.3g} to {total.max():.3g}. Name the output that holds probabilities, or serve the softmax."
        )
