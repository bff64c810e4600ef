"""Data sets by name. Adding one: its file, its test, one line here."""

from leakscope.core.datasets import composites, digits
from leakscope.core.datasets.base import DATASETS, Dataset, DatasetSpec, Ids, Images

__all__ = ["DATASETS", "Dataset", "DatasetSpec", "Ids", "Images", "composites", "digits"]
