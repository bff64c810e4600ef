"""Makes victims and their defended variants.

The public API: `train` and `untrained` write victim bundles, `train_encoder` keeps none; `RECIPES` and `DEFENCES` name
what there is, `make_plan` maps options onto a recipe, `check_labels` refuses samples that lack what it learns from,
`probe` makes a classifier of an encoder's bundle, `check_classes` refuses samples that it cannot learn from,
`work_folder` and `read_progress` let a parent process watch a training in another one; `save_checkpoint` and
`load_checkpoint` keep any training that can be stopped.
Names are loaded at first use: a command that trains nothing does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentprint.trainer.checkpoint import Position, load_checkpoint, save_checkpoint
    from latentprint.trainer.defences import DEFENCES
    from latentprint.trainer.in_memory import train_encoder
    from latentprint.trainer.plan import DefenceSpec, check_labels, make_plan, training_code
    from latentprint.trainer.probing import ProbeOptions, check_classes, probe
    from latentprint.trainer.progress import Progress, read_progress
    from latentprint.trainer.recipes import RECIPES
    from latentprint.trainer.session import Tracker
    from latentprint.trainer.training import UNTRAINED, train, untrained
    from latentprint.trainer.workspace import work_folder

__all__ = [
    "DEFENCES",
    "RECIPES",
    "UNTRAINED",
    "DefenceSpec",
    "Position",
    "ProbeOptions",
    "Progress",
    "Tracker",
    "check_classes",
    "check_labels",
    "load_checkpoint",
    "make_plan",
    "probe",
    "read_progress",
    "save_checkpoint",
    "train",
    "train_encoder",
    "training_code",
    "untrained",
    "work_folder",
]

_HOMES = {
    "DEFENCES": "defences",
    "RECIPES": "recipes",
    "UNTRAINED": "training",
    "DefenceSpec": "plan",
    "Position": "checkpoint",
    "ProbeOptions": "probing",
    "Progress": "progress",
    "Tracker": "session",
    "check_classes": "probing",
    "check_labels": "plan",
    "load_checkpoint": "checkpoint",
    "make_plan": "plan",
    "probe": "probing",
    "read_progress": "progress",
    "save_checkpoint": "checkpoint",
    "train": "training",
    "train_encoder": "in_memory",
    "training_code": "plan",
    "untrained": "training",
    "work_folder": "workspace",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
