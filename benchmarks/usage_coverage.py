"""Coverage of the usage estimate's 95 % intervals by simulation, at several attacks, sizes and shares.

DRAWS in the environment sets the collections of each row (2,000); docs/statistics.md holds what it printed.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from latentprint.attack_engine.statistics.usage import CalledScores, estimate_usage

DRAWS = int(os.environ.get("DRAWS", "2000"))
SHARES = (0.0, 0.1, 0.5, 0.9, 1.0)
ESTIMATES = ("debiased", "likelihood")
Draw = Callable[[np.random.Generator, int], np.ndarray]


@dataclass(frozen=True)
class Attack:
    """How members score, beside standard normal non-members, and the attack's own threshold."""

    name: str
    members: Draw
    threshold: float

    def group(self, rng: np.random.Generator, members: int, non_members: int) -> CalledScores:
        """Scores of so many of either."""
        score = np.concatenate([self.members(rng, members), rng.normal(size=non_members)])
        return CalledScores(score, score >= self.threshold)


def shifted(auc: float) -> Attack:
    """Members score higher by as much as gives this AUC."""
    shift = float(norm.ppf(auc) * np.sqrt(2))
    return Attack(f"AUC {auc:.2f}", lambda rng, count: rng.normal(shift, 1, count), shift / 2)


def exposed(share: float) -> Attack:
    """A share of the members scores far higher, the others like non-members."""

    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        return rng.normal(3 * (rng.random(count) < share), 1)

    return Attack(f"{100 * share:.0f} % exposed", draw, 1.5)


ROWS = (
    (shifted(0.6), 400, 400, 400),
    (shifted(0.7), 100, 200, 200),
    (shifted(0.8), 100, 100, 200),
    (shifted(0.9), 100, 100, 50),
    (shifted(0.9), 500, 500, 500),
    (shifted(0.97), 100, 100, 200),
    (exposed(0.3), 200, 200, 200),
)
MOSTLY_REFUSED = (shifted(0.7), 50, 50, 100)  # in no ratio: what is not refused here was partly luck


def simulate(
    attack: Attack, sizes: tuple[int, int, int], share: float, rng: np.random.Generator, draws: int
) -> dict[str, np.ndarray]:
    """By estimate, of every draw that is not refused: value, low, high. float64 [D, 3].

    Args:
        attack: what scores.
        sizes: known members, known non-members, candidates.
        share: of the candidates that are members, exactly.
        rng: of the scores.
        draws: collections, each with known samples of its own.
    """
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ESTIMATES}
    members, non_members, candidates = sizes
    used = round(share * candidates)
    for _ in range(draws):
        asked = attack.group(rng, used, candidates - used)
        usage = estimate_usage(asked, attack.group(rng, members, 0), attack.group(rng, 0, non_members))
        for name in ESTIMATES if not usage.refused else ():
            one = getattr(usage, name)
            found[name].append((one.value, one.interval.low, one.interval.high))
    return {name: np.array(rows).reshape(-1, 3) for name, rows in found.items()}


def coverage(rows: np.ndarray, share: float) -> float:
    """The share of intervals [D, 3] that hold `share`."""
    return float(np.mean((rows[:, 1] <= share + 1e-12) & (share - 1e-12 <= rows[:, 2])))


def main() -> None:
    """Print every row, and the ratios that the intervals are held to."""
    rng, seen = np.random.default_rng(0), []
    for attack, *sizes in (*ROWS, MOSTLY_REFUSED):
        for share in SHARES:
            found = simulate(attack, (sizes[0], sizes[1], sizes[2]), share, rng, DRAWS)
            row = f"{attack.name:>13}, {sizes[0]:3} and {sizes[1]:3} known, {sizes[2]:3} candidates, used {share:.1f}:"
            for name, rows in found.items():
                covered = coverage(rows, share)
                seen += [] if sizes == list(MOSTLY_REFUSED[1:]) else [covered]
                row += f" {name} {covered:.3f}, width {np.mean(rows[:, 2] - rows[:, 1]):.2f}, bias "
                row += f"{np.mean(rows[:, 0]) - share:+.3f};"
            print(f"{row} refused {1 - len(rows) / DRAWS:.2f}", flush=True)
    print(f"ratio lowest_coverage_of_usage {min(seen):.3f} (target >= 0.920)")
    print(f"ratio highest_coverage_of_usage {max(seen):.3f} (target <= 0.980)")


if __name__ == "__main__":
    main()
