"""What runs in a training belongs to the code that its weights are keyed by."""

import sys
from collections.abc import Callable
from types import FrameType

import numpy as np
import pytest

from latentprint.core.code_digest import followed
from latentprint.core.datasets import DatasetSpec
from latentprint.trainer import DEFENCES, DefenceSpec, make_plan, train_encoder
from latentprint.trainer.plan import _COMPUTING

_HOUSE = "latentprint"
# Data sets count by their content.
_KEYED_OTHERWISE = ("latentprint.core.datasets", "latentprint.core.views.streams")
_GENERATED = ("__create_fn__",)  # methods that dataclasses write


def _defined_and_run(compute: Callable[[], object]) -> set[str]:
    """The definitions at the top of latentprint's modules whose code `compute` runs."""
    ran: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        module = frame.f_globals.get("__name__", "")
        name = frame.f_code.co_qualname.partition(".")[0]
        if event == "call" and module.partition(".")[0] == _HOUSE and name not in _GENERATED:
            ran.add(f"{module}:{name}")

    compute()  # imports what is imported late
    sys.setprofile(note)
    try:
        compute()
    finally:
        sys.setprofile(None)
    return ran


@pytest.mark.parametrize(
    ("recipe", "options", "defences"),
    [
        ("supervised", {"batch_size": 4}, ()),
        ("supervised", {"batch_size": 4}, (DefenceSpec("dp-sgd"),)),
        ("mae", {"batch_size": 4}, ()),
        ("simclr", {"batch_size": 4}, (DefenceSpec("talos"),)),
        ("moco", {"batch_size": 4}, (DefenceSpec("strong-augmentation", {"kind": "adversarial"}),)),
    ],
)
def test_what_runs_in_a_training_is_followed(
    recipe: str, options: dict[str, int], defences: tuple[DefenceSpec, ...]
) -> None:
    dataset = DatasetSpec("composites", {"count": 16, "side": 32, "classes": 2}).open()
    plan = make_plan(recipe, options, 1, defences)
    entries = (type(plan.options), *(DEFENCES.get(one.name) for one in defences), *_COMPUTING)
    ran = _defined_and_run(
        lambda: train_encoder(recipe, options, dataset, np.arange(8), epochs=1, defences=defences, device="cpu")
    )
    assert f"{_HOUSE}.trainer.loop:Loop" in ran
    assert {one for one in ran if not one.startswith(_KEYED_OTHERWISE)} <= followed(*entries)
