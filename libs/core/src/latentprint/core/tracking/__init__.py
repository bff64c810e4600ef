"""MLflow in one place: experiments, runs and what is logged to them.

What is logged is first kept on disk, in a folder of unsent runs, and then sent beside the work, in batches: a store
that is down, that hangs or that goes while a training runs costs neither the training nor what it had to say. A later
run below the same root sends what was kept, and so does `latentprint track`. Nothing is logged twice: a run carries a
content key as a tag and is found again by it, and what was sent is remembered beside what was not.
"""

from latentprint.core.tracking.delivery import Delivery, deliver_all, unsent_folder
from latentprint.core.tracking.inputs import Input, dataset_input, split_input
from latentprint.core.tracking.journal import KEY_TAG
from latentprint.core.tracking.runs import Run, default_uri, new_run, now, open_run
from latentprint.core.tracking.work import finishing, tracked, working

__all__ = [
    "KEY_TAG",
    "Delivery",
    "Input",
    "Run",
    "dataset_input",
    "default_uri",
    "deliver_all",
    "finishing",
    "new_run",
    "now",
    "open_run",
    "split_input",
    "tracked",
    "unsent_folder",
    "working",
]
