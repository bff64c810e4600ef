"""Data sets by name. Adding one: its file, its test, one line here."""

from leakscope.core.datasets import (
    as_published,
    baskets,
    cifar,
    coco,
    composites,
    digits,
    folder,
    folders,
    ham10000,
    imagenet,
    location,
    news,
    purchase,
    tiny_imagenet,
)
from leakscope.core.datasets.base import DATASETS, Dataset, DatasetSpec, Ids, Images, Samples, Vectors
from leakscope.core.datasets.folders import folders_spec, paired_folders

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetSpec",
    "Ids",
    "Images",
    "Samples",
    "Vectors",
    "as_published",
    "baskets",
    "cifar",
    "coco",
    "composites",
    "digits",
    "folder",
    "folders",
    "folders_spec",
    "ham10000",
    "imagenet",
    "location",
    "news",
    "paired_folders",
    "purchase",
    "tiny_imagenet",
]
