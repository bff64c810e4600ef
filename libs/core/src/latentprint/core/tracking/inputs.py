"""What a run was given: a data set or a split as MLflow shows it, with schema, profile and digest."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from latentprint.core.datasets import Dataset, DatasetSpec
    from latentprint.core.splits import Split

_LONG, _BOOLEAN, _STRING, _BINARY, _FLOAT = "long", "boolean", "string", "binary", "float"
_IMAGE_AXES = 3
_MOST_OPTIONS = 10_000  # characters; some data sets list every sample


@dataclass(frozen=True)
class Input:
    """A data set or a split, described for whoever looks at a run.

    Attributes:
        name: as it is called.
        digest: SHA-256 (hex).
        columns: name to MLflow's data type of what there is of every sample; empty where that is not known.
        profile: sizes and counts.
        source: how to open it again, as plain data.
    """

    name: str
    digest: str
    columns: Mapping[str, str] = field(default_factory=dict)
    profile: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return asdict(self)


def dataset_input(dataset: "Dataset", spec: "DatasetSpec") -> Input:
    """An opened data set: images or vectors, its labels, how many samples, and how many values each label has."""
    shape, samples = dataset.sample_shape, len(dataset)
    image = len(shape) == _IMAGE_AXES
    columns = {"image": _BINARY} if image else {"vector": _FLOAT}
    profile = {
        "num_rows": samples,
        "num_elements": samples * prod(shape),
        "sample_shape": list(shape),
        "sample_type": "uint8" if image else "float32",
        **{f"values_of_{name}": np.unique(label).size for name, label in dataset.labels.items()},
    }
    return Input(dataset.name, dataset.digest, columns | dict.fromkeys(dataset.labels, _LONG), profile, _source(spec))


def split_input(split: "Split") -> Input:
    """Who is a member, and what each sample is for."""
    columns = {"sample_id": _LONG, "member": _BOOLEAN, "role": _STRING}
    if split.units is not None:
        columns |= {"unit": _LONG, "trained": _BOOLEAN}
    members = int(split.member.sum())
    profile: dict[str, Any] = {
        "num_rows": len(split.sample_id),
        "members": members,
        "non_members": len(split.sample_id) - members,
        "trained_on": int(split.trained.sum()),
        **{name.replace(" ", "_"): len(ids) for name, ids in split.further.items() if len(ids)},
    }
    source = {} if split.source is None else _source(split.source)
    facts = {"seed": split.seed, "split_by": split.split_by, "dataset_digest": split.dataset_digest}
    return Input("split", split.digest, columns, profile, {**source, **facts})


def _source(spec: "DatasetSpec") -> dict[str, Any]:
    """How to open a data set again, as plain data; without its options where they are too long to be shown."""
    options = json.dumps(dict(spec.options), default=str)
    return {"name": spec.name, "options": json.loads(options) if len(options) <= _MOST_OPTIONS else {}}
