"""Whether members and non-members look drawn alike, before the endpoint is asked anything."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.statistics.blind import Blind, blind_baseline
from latentprint.attack_engine.statistics.estimates import SplitTest
from latentprint.attack_engine.statistics.split_test import split_test
from latentprint.core.datasets import Dataset, DatasetSpec
from latentprint.core.splits import Split

_IMAGES = 2  # what a seed is used for tells its streams apart; 1 is the fits' own, 3 the scores'


@dataclass(frozen=True)
class ExaminedSamples:
    """A split's blind baseline and split test, and the blind scores by sample.

    `candidates` is the same test between the candidates and all the others; None with fewer than two.
    """

    dataset: Dataset
    blind: Blind
    test: SplitTest
    scores: Mapping[int, float]
    candidates: SplitTest | None = None

    def blind_scores(self, rows: Split, split: Split) -> NDArray[np.float64]:
        """Of each of `rows`, a sample or a unit of `split`, the mean blind score of its samples: float64 [R]."""
        unit, place = np.unique(split.unit, return_inverse=True)
        scores = np.array([self.scores[int(sample)] for sample in split.sample_id])
        means = np.bincount(place, scores) / np.bincount(place)
        return np.asarray(means[np.searchsorted(unit, rows.sample_id)])


def examine_samples(spec: DatasetSpec, split: Split, seed: int) -> ExaminedSamples:
    """Whether all the split's samples, of both roles, look drawn alike; nothing is asked for it."""
    dataset = spec.open()
    ids = [split.ids(member=member) for member in (True, False)]
    units = split.unit[split.member], split.unit[~split.member]
    members, non_members = (dataset.images(side) for side in ids)
    blind_rng, test_rng, candidates_rng = np.random.default_rng([seed, _IMAGES]).spawn(3)
    blind = blind_baseline(members, non_members, rng=blind_rng, units=units)
    scores = np.concatenate([blind.member_scores, blind.non_member_scores])
    by_sample = dict(zip(np.concatenate(ids).tolist(), scores.tolist(), strict=True))
    test = split_test(members, non_members, rng=test_rng, units=units)
    if len(split.candidates) < 2:
        return ExaminedSamples(dataset, blind, test, by_sample)
    both, asked = np.concatenate([members, non_members]), dataset.images(split.candidates)
    alike = split_test(both, asked, rng=candidates_rng)
    return ExaminedSamples(dataset, blind, test, by_sample, alike)
