"""Which samples an attack exposes most and least, with thumbnails of images for a person to look at."""

import base64
import io

import numpy as np
from PIL import Image

from latentprint.attack_engine.attacks.fitting.scoring import Scored
from latentprint.attack_engine.inference.base import Scores
from latentprint.attack_engine.questions.membership.results import Exposed
from latentprint.core.datasets import Dataset
from latentprint.core.samples import Images, is_vector
from latentprint.core.splits import Split

_LARGEST_SIDE = 96


def exposed(
    scored: Scored, dataset: Dataset, split: Split, count: int = 8
) -> tuple[tuple[Exposed, ...], tuple[Exposed, ...]]:
    """The `count` evaluated samples with the highest and with the lowest scores, most extreme first.

    Of a unit of `split`, its first sample is shown.
    """
    order = np.argsort(-scored.score, kind="stable")
    percentile = percentiles(scored.score)
    count = min(count, len(order) // 2)

    def describe(rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[Exposed, ...]:
        images = dataset.images(np.array([first_sample(split, int(row)) for row in scored.sample_id[rows]]))
        return tuple(
            Exposed(
                sample_id=int(scored.sample_id[row]),
                member=bool(scored.member[row]),
                score=float(scored.score[row]),
                percentile=float(percentile[row]),
                image="" if is_vector(dataset.sample_shape) else _thumbnail(image),
                file=row_name(dataset, split, int(scored.sample_id[row])),
            )
            for row, image in zip(rows, images, strict=True)
        )

    return describe(order[:count]), describe(order[::-1][:count])


def percentiles(score: Scores) -> Scores:
    """Of each score [E], the share of the others that it lies above: float64 [E], 1 for the highest."""
    order = np.argsort(-score, kind="stable")
    percentile = np.empty(len(order))
    percentile[order] = 1 - np.arange(len(order)) / max(1, len(order) - 1)
    return percentile


def first_sample(split: Split, row: int) -> int:
    """The sample that stands for a unit of `split`, its first one; a sample that is a unit by itself is its own."""
    return row if split.units is None else int(split.sample_id[np.argmax(split.unit == row)])


def row_name(dataset: Dataset, split: Split, row: int) -> str:
    """What a sample or a unit of `split` is called: a sample by its file, a unit by the folder of its files."""
    if split.units is None:
        return file_of(dataset, row)
    folder, slash, _ = file_of(dataset, first_sample(split, row)).partition("/")
    return folder if slash else str(row)


def file_of(dataset: Dataset, sample: int) -> str:
    """The sample's file relative to its folder, safe to show; "" where the data set does not say."""
    return "" if dataset.files is None else dataset.files.shown(sample)


def _thumbnail(image: Images) -> str:
    picture = Image.fromarray(image)
    picture.thumbnail((_LARGEST_SIDE, _LARGEST_SIDE))
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
