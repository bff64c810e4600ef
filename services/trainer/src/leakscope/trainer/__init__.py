"""Makes victims and their defended variants.

The public API: `train` and `untrained` write victim bundles, `RECIPES` and `DEFENCES` name what there is, `make_plan`
maps options onto a recipe, `work_folder` and `read_progress` let a parent process watch a training in another one.
Names are loaded at first use: a command that trains nothing does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leakscope.trainer.defences import DEFENCES
    from leakscope.trainer.plan import DefenceSpec, make_plan
    from leakscope.trainer.progress import Progress, read_progress
    from leakscope.trainer.recipes import RECIPES
    from leakscope.trainer.session import Tracker
    from leakscope.trainer.training import UNTRAINED, train, untrained
    from leakscope.trainer.workspace import work_folder

__all__ = [
    "DEFENCES",
    "RECIPES",
    "UNTRAINED",
    "DefenceSpec",
    "Progress",
    "Tracker",
    "make_plan",
    "read_progress",
    "train",
    "untrained",
    "work_folder",
]

_HOMES = {
    "DEFENCES": "defences",
    "RECIPES": "recipes",
    "UNTRAINED": "training",
    "DefenceSpec": "plan",
    "Progress": "progress",
    "Tracker": "session",
    "make_plan": "plan",
    "read_progress": "progress",
    "train": "training",
    "untrained": "training",
    "work_folder": "workspace",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
