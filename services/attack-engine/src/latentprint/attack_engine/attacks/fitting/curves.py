"""Mean diagnostic curves of members and non-members, such as PartCrop's part response (Fig. 2 of the paper)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from latentprint.attack_engine.statistics.figures import Curves


def diagnostic_curves(
    diagnostics: Mapping[str, NDArray[np.float32]],
    member: NDArray[np.bool_],
    words: Mapping[str, tuple[str, str, str]],
) -> tuple[Curves, ...]:
    """Curves of the diagnostics (name to float32 [S, L]) that `words` names: name to (title, x label, y label)."""
    return tuple(
        _curves(diagnostics[name].astype(np.float64), member, *text)
        for name, text in words.items()
        if name in diagnostics
    )


def worded(curves: Sequence[Curves], words: Mapping[str, tuple[str, str, str]]) -> tuple[Curves, ...]:
    """Curves with the words of their figures, where `words` has the name that they are stored under as their title."""
    texts = [words.get(one.title, (one.title, one.x_label, one.y_label)) for one in curves]
    return tuple(
        replace(one, title=title, x_label=x_label, y_label=y_label)
        for one, (title, x_label, y_label) in zip(curves, texts, strict=True)
    )


def _curves(values: NDArray[np.float64], member: NDArray[np.bool_], title: str, x_label: str, y_label: str) -> Curves:
    sides = {}
    for side, rows in (("members", values[member]), ("non_members", values[~member])):
        sides[side] = tuple(rows.mean(axis=0).tolist())
        sides[f"{side}_error"] = tuple((rows.std(axis=0, ddof=1) / np.sqrt(len(rows))).tolist())
    return Curves(title=title, x_label=x_label, y_label=y_label, **sides)
