"""Models that are made here, served for an audit: the victim, and the encoders that stand beside it."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.server_process import ServerProcess, starting_server
from latentprint.attack_engine.models.job import ORIGINAL, TWIN, VICTIM
from latentprint.attack_engine.models.victim import TwinJob, VictimJob
from latentprint.attack_engine.runs.threat_model import AuditedModel

Endpoints = Mapping[str, EndpointSpec]  # by side: a victim, and the encoders beside it that there are


@dataclass(frozen=True)
class ServedSides:
    """A model and the encoders beside it, being served; each process serves some of these sides."""

    processes: Mapping[tuple[str, ...], ServerProcess]

    def is_ready(self) -> bool:
        """Whether all of them answer. Raises as `ServerProcess.is_ready` does."""
        return all(process.is_ready() for process in self.processes.values())

    @property
    def endpoints(self) -> Endpoints:
        """Where they are, once they are ready."""
        return {
            side: endpoint
            for sides, process in self.processes.items()
            for side, endpoint in zip(sides, process.endpoints, strict=True)
        }


@contextlib.contextmanager
def serving(model: AuditedModel, *, beside: bool, host: str) -> Iterator[ServedSides]:
    """Serve a model that is made here until the block ends, at `host`; where it is audited, with those `beside` it.

    Twin and placebo are served as the model is, with whatever a thief does to its answers. The encoder that it may be
    stolen from is served as its owner does it, where that differs from a process of its own.
    """
    training, original = model.training, model.original
    if training is None:
        raise ValueError(f"{model.name} is served by somebody else")
    jobs: dict[str, VictimJob | TwinJob] = {VICTIM: training}
    if beside:
        jobs |= {TWIN: training.twin, **model.beside}
    name = model.name.replace(" ", "-")
    bundles = {side: (name if side == VICTIM else f"{name}-{side}", str(job.folder)) for side, job in jobs.items()}
    groups = [(tuple(bundles), training.choice.serve_options)]
    if ORIGINAL in jobs and original is not None and original.obfuscation != training.obfuscation:
        together = tuple(side for side in bundles if side != ORIGINAL)
        groups = [(together, training.choice.serve_options), ((ORIGINAL,), original.choice.serve_options)]
    with contextlib.ExitStack() as started:
        yield ServedSides(
            {
                sides: started.enter_context(
                    starting_server(dict(bundles[side] for side in sides), options=options, host=host)
                )
                for sides, options in groups
            }
        )
