"""Makes victims and their defended variants.

The public API: `train` and `untrained` write victim bundles, `RECIPES` and `DEFENCES` name what there is,
`work_folder` and `read_progress` let a parent process watch a training in another one.
"""

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
