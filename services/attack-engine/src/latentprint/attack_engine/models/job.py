"""Model jobs: how any model comes to be, in one registry and one store."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from latentprint.attack_engine.scheduling.task import Task
from latentprint.core.registry import Registry

# Each kind's shelf of the store. Its job is a `ModelJob` in a file of its own.
MODEL_JOBS: Registry[str] = Registry("model job")
TRAIN, TWIN, DISTIL, STEAL, REFERENCE, CANDIDATE = "train", "twin", "distil", "steal", "reference", "candidate"
PROBE = "probe"
MODEL_JOBS.add(TRAIN, "victims", summary="a victim, shadow model or placebo, by a recipe", source="training.py")
MODEL_JOBS.add(TWIN, "victims", summary="the untrained twin of what is trained", source="training.py")
MODEL_JOBS.add(DISTIL, "distillations", summary="a student of a model's answers", source="distillation_job.py")
MODEL_JOBS.add(STEAL, "stolen", summary="an encoder stolen from an endpoint", source="stealing_job.py")
MODEL_JOBS.add(PROBE, "probes", summary="a classifier: an encoder with a linear probe", source="derived.py")
MODEL_JOBS.add(REFERENCE, "references", summary="one of a set of reference models", source="reference_job.py")
MODEL_JOBS.add(CANDIDATE, "candidates", summary="a search's candidate, measured", source="candidate_job.py")


# Beside TWIN, what a model is to an audit; an audited suspect may be stolen from the original.
VICTIM, SHADOW, PLACEBO, ORIGINAL = "victim", "shadow", "placebo", "original"


class ModelJob(Task, Protocol):
    """A task that makes a model, or what is kept of one; see `Task` for what the scheduler needs of it.

    A frozen dataclass that pickles to little. `key` holds all that the result depends on, code included; `make` never
    makes again what is there, and what was stopped goes on where it was.
    """

    @property
    def kind(self) -> str:
        """Its entry in `MODEL_JOBS`."""
        ...

    @property
    def folder(self) -> Path:
        """Where its result lies, in the store."""
        ...


@dataclass(frozen=True)
class ModelStore:
    """Where models lie, by kind and by the content of all that they depend on; all experiments share it."""

    root: Path

    def folder(self, kind: str, key: str) -> Path:
        """The folder of the result of this kind and key. Raises `UsageError` for a kind that is not registered."""
        return self.root / MODEL_JOBS.get(kind) / key[:16]
