from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from latentprint.attack_engine.attacks.fitting.scoring import cross_validated_auc
from latentprint.attack_engine.inference.base import Features, Membership
from latentprint.attack_engine.inference.logistic import Logistic, LogisticScorer
from latentprint.attack_engine.inference.over_draws import OverDraws
from latentprint.attack_engine.runs.experiment_file import load_experiment
from latentprint.attack_engine.runs.search import Tried, ranked, second_stage
from latentprint.core.errors import UsageError

MAE: dict[str, Any] = {"name": "mae", "recipe": "mae", "split": "s", "epochs": 1, "options": {"crop_scale_from": 0.2}}
SEARCH: dict[str, Any] = {"victim": "mae", "attack": "partcrop"}
VALID: dict[str, Any] = {
    "name": "trial",
    "datasets": {"d": "digits"},
    "splits": {"s": {"dataset": "d", "members": 40, "non_members": 80}},
    "victims": [MAE],
    "attacks": ["partcrop", {"name": "encodermi", "label": "views"}],
    "searches": [SEARCH],
}


def test_the_second_stage_goes_between_the_best_two_in_exact_decimals() -> None:
    assert second_stage(0.3, 0.4, 0.02) == (0.32, 0.34, 0.36, 0.38)
    assert second_stage(0.5, 0.4, 0.02) == (0.42, 0.44, 0.46, 0.48)
    assert second_stage(0.3, 0.5, 0.02, (0.3, 0.4, 0.5)) == (0.32, 0.34, 0.36, 0.38, 0.42, 0.44, 0.46, 0.48)
    assert second_stage(0.3, 0.4, 0.04) == (0.34, 0.38)
    assert second_stage(0.3, 0.4, 0.1) == ()
    assert 0.3 + 0.02 + 0.02 + 0.02 != 0.36  # the drift that decimals avoid


@given(st.integers(1, 99), st.integers(1, 99), st.integers(1, 30))
def test_every_second_stage_is_what_whole_hundredths_give(first: int, second: int, step: int) -> None:
    low, high = sorted((first, second))
    expected = tuple(hundredths / 100 for hundredths in range(low + step, high, step))
    assert second_stage(first / 100, second / 100, step / 100) == expected


def order(tried: list[Tried], least: float | None) -> list[float]:
    found = [ranked(arranged, least) for arranged in map(list, permutations(tried))]
    assert all(one == found[0] for one in found)  # whatever order they were tried in
    return [one.lower for one in found[0]]


def test_the_lowest_auc_is_best_and_ties_go_to_the_more_accurate_then_to_the_smaller_bound() -> None:
    tried = [Tried(0.3, 1, 0.6, 0.4), Tried(0.4, 1, 0.55, 0.4), Tried(0.5, 1, 0.58, 0.4)]
    assert order(tried, 0.3) == [0.4, 0.5, 0.3]
    tried = [Tried(0.3, 1, 0.6, 0.4), Tried(0.4, 1, 0.6, 0.41), Tried(0.5, 1, 0.6, 0.41)]
    assert order(tried, 0.3) == [0.4, 0.5, 0.3]


def test_a_candidate_that_costs_too_much_accuracy_comes_after_all_that_do_not() -> None:
    tried = [Tried(0.3, 1, 0.60, 0.45), Tried(0.4, 1, 0.55, 0.42), Tried(0.5, 1, 0.50, 0.39)]
    assert order(tried, 0.48 - 0.05) == [0.3, 0.5, 0.4]
    assert order(tried, 0.40) == [0.4, 0.3, 0.5]
    assert order(tried, 0.47 - 0.05) == [0.4, 0.3, 0.5]  # 0.42 is within, though 0.47 - 0.05 is a little above it
    assert order(tried, 0.9) == order(tried, None) == [0.5, 0.4, 0.3]  # none is within: all count
    unmeasured = [Tried(0.3, 1, 0.60, None), Tried(0.4, 1, 0.55, None)]
    assert order(unmeasured, 0.4) == order(unmeasured, None) == [0.4, 0.3]


class Watching:
    """A real inference model that records what it was fitted to and what it scored."""

    def __init__(self) -> None:
        self.rounds: list[tuple[Features, Membership, list[Features]]] = []

    def fit(self, signals: Features, member: Membership, rng: np.random.Generator) -> "WatchingScorer":
        scored: list[Features] = []
        self.rounds.append((signals, member, scored))
        return WatchingScorer(Logistic().fit(signals, member, rng), scored)


class WatchingScorer:
    def __init__(self, scorer: LogisticScorer, scored: list[Features]) -> None:
        self.scorer, self.scored, self.threshold = scorer, scored, scorer.threshold

    def score(self, signals: Features) -> Any:
        self.scored.append(signals)
        return self.scorer.score(signals)


def test_the_cross_validated_auc_is_that_of_samples_each_held_out_once() -> None:
    rng = np.random.default_rng(0)
    member = rng.permutation(np.arange(83) < 31)
    features = rng.normal(size=(83, 1, 4)).astype(np.float32) + 0.4 * member[:, None, None].astype(np.float32)
    watching = Watching()
    value = cross_validated_auc(OverDraws(watching), features, member, np.random.default_rng(1))
    side = {row.tobytes(): bool(is_member) for row, is_member in zip(features[:, 0], member, strict=True)}
    held_out, aucs = [], []
    for fitted, fitted_member, (scored,) in watching.rounds:
        seen, asked = ({row.tobytes() for row in rows} for rows in (fitted, scored))
        assert not seen & asked
        assert seen | asked == set(side)
        held_out += sorted(asked)
        score = Logistic().fit(fitted, fitted_member, rng).score(scored)
        of_member = np.array([side[row.tobytes()] for row in scored])
        members, others = score[of_member], score[~of_member]
        aucs.append(mannwhitneyu(members, others).statistic / (len(members) * len(others)))
    assert sorted(held_out) == sorted(side)
    assert len(watching.rounds) == 5
    assert value == pytest.approx(np.mean(aucs), abs=1e-12)


def test_the_cross_validated_auc_is_at_chance_where_nothing_leaks_though_the_model_overfits() -> None:
    values = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        features = rng.normal(size=(60, 1, 30)).astype(np.float32)
        values.append(cross_validated_auc(OverDraws(Logistic()), features, np.arange(60) < 30, rng))
    assert abs(np.mean(values) - 0.5) < 0.04


def written(tmp_path: Path, change: dict[str, Any]) -> Path:
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump({**VALID, **change}))
    return path


def test_a_search_is_read_with_the_papers_defaults(tmp_path: Path) -> None:
    (search,) = load_experiment(written(tmp_path, {"searches": [{**SEARCH, "attack": "views"}]})).searches
    assert (search.coarse, search.step, search.utility_loss) == ((0.3, 0.4, 0.5), 0.02, 0.05)
    assert [search.name(lower) for lower in (0.3, 0.36)] == ["mae-scsr-0.3", "mae-scsr-0.36"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"searches": [{**SEARCH, "victim": "mea"}]}, "Unknown victim of a search 'mea'. Did you mean 'mae'"),
        ({"searches": [{**SEARCH, "attack": "encodermi"}]}, "Unknown attack of a search 'encodermi'"),
        ({"searches": [{**SEARCH, "fine": 0.02}]}, "unknown key 'fine'"),
        ({"searches": [{**SEARCH, "coarse": [0.3]}]}, "coarse needs at least two lower bounds, all different"),
        ({"searches": [{**SEARCH, "coarse": [0.3, 0.3, 0.4]}]}, "coarse needs at least two lower bounds"),
        (
            {"searches": [{**SEARCH, "step": 0.1, "coarse": [0.3, 0.4]}]},
            "step 0.1 must lie above 0, and below the distance of any two",
        ),
        ({"searches": [{**SEARCH, "step": 0.0}]}, "step 0 must lie above 0"),
        ({"searches": [{**SEARCH, "utility_loss": -0.1}]}, "utility_loss -0.1 must be at least 0"),
        ({"searches": [{**SEARCH, "coarse": [0.2, 0.4]}]}, "lower 0.2 does not raise the crop scale of 'mae'"),
        ({"searches": [{**SEARCH, "coarse": [0.9, 1.1]}]}, "choose lower above 0.2 and at most 1"),
        ({"victims": [{**MAE, "options": {}}]}, "which starts from 1.0: set crop_scale_from lower"),
        ({"victims": [{**MAE, "defence": "early-stop"}]}, "needs an undefended victim; this one has early-stop"),
        ({"victims": [MAE, {**MAE, "name": "mae-scsr-0.3"}]}, "give the victim 'mae-scsr-0.3' another"),
    ],
)
def test_a_search_that_cannot_be_done_is_refused_when_the_file_is_read(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as error:
        load_experiment(written(tmp_path, change))
    assert message in str(error.value)
