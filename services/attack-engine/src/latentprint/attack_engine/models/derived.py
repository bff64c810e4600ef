"""Models that are made of another victim: an encoder stolen from it, and a linear probe on it."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.plan import ExtractionPlan, plan_extraction
from latentprint.attack_engine.asking.server_process import served
from latentprint.attack_engine.asking.worker import extract_here
from latentprint.attack_engine.models.choice import DrawnSamples
from latentprint.attack_engine.models.job import PROBE, STEAL
from latentprint.attack_engine.models.stealing import THEFT, Stealing, check_victim, drawn_images
from latentprint.attack_engine.models.stealing_job import StealingJob, stealing_job, theft_progress, theft_work
from latentprint.attack_engine.models.stealing_losses import STEALING_LOSSES
from latentprint.attack_engine.models.stored_answers import opened
from latentprint.attack_engine.models.victim import TWIN_SEED, TwinJob, VictimJob, log_bundle, log_inputs, log_victim
from latentprint.attack_engine.scheduling.task import Task, TaskProgress
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.core.bundles import read_card, save_twin
from latentprint.core.code_digest import code_digest
from latentprint.core.datasets import Ids
from latentprint.core.digests import digest_arrays
from latentprint.core.files import writing
from latentprint.core.outputs import EMBEDDING
from latentprint.core.split_files import read_split
from latentprint.core.threads import using_threads
from latentprint.core.tracking import working
from latentprint.core.views.augmentations import Augmentation
from latentprint.trainer import ProbeOptions, probe


@dataclass(frozen=True)
class DerivedJob(VictimJob):
    """A model that is made of another victim's bundle; its members are that victim's.

    Attributes:
        parent: what it is derived from.
    """

    parent: VictimJob = field(kw_only=True)

    @property
    def needs(self) -> Sequence[Task]:
        """See `Task.needs`: what it is derived from."""
        return (self.parent,)

    @property
    def reads(self) -> Sequence[Path]:
        """See `Task.reads`."""
        return (self.samples.path, self.parent.folder)

    @property
    def ancestors(self) -> tuple[VictimJob, ...]:
        """See `VictimJob.ancestors`."""
        return (*self.parent.ancestors, self.parent)

    @property
    def augmentation(self) -> Augmentation:
        """See `VictimJob.augmentation`: the parent's, which the members were trained with."""
        return self.parent.augmentation

    @property
    def twin(self) -> "FreshWeightsJob":
        """See `VictimJob.twin`."""
        return FreshWeightsJob(self)

    def made_alike(self, role: str, samples: DrawnSamples) -> Self:
        """See `VictimJob.made_alike`: derived in the same way from a parent that is made alike on these samples."""
        return replace(super().made_alike(role, samples), parent=self.parent.made_alike(role, samples))

    def make(self) -> None:
        """See `Task.make`: logged below `run` once it is there."""
        if self.run is None:
            self._derive()
            return
        with working(self.record(self.run)) as run:
            log_inputs(run, self.samples)
            self._derive()
            log_bundle(run, read_card(self.folder))
            log_victim(run, self)

    @abstractmethod
    def _derive(self) -> None:
        """Make the bundle, or go on."""


@dataclass(frozen=True)
class TheftJob(DerivedJob):
    """An encoder that is stolen from a victim made here, by asking it through a server of its own.

    Attributes:
        images: the thief's are the distillation samples of this split.
        theft: how it is stolen. The images that it names are the budget.
    """

    images: DrawnSamples = field(kw_only=True)
    theft: Stealing = field(kw_only=True)
    kind = STEAL

    @property
    def title(self) -> str:
        """See `Task.title`."""
        return f"steal {self.name}"

    @property
    def made_by(self) -> Mapping[str, Any]:
        """See `VictimJob.made_by`."""
        return {"of": self.parent.made_by, "obfuscated": self.parent.obfuscation, "steal": asdict(self.theft)}

    @property
    def code(self) -> str:
        """See `VictimJob.code`."""
        loss = STEALING_LOSSES.get(self.theft.loss).function
        return code_digest(StealingJob, stealing_job, loss, drawn_images, PlainAnswer, FreshWeightsJob)

    @property
    def _further(self) -> Mapping[str, Any]:
        asked = [self.images.split.dataset_digest, digest_arrays(ids=self._asked)]
        return {"parent": self.parent.answers_key, "images": asked}

    @cached_property
    def _asked(self) -> Ids:
        return drawn_images(self.theft, self.images.split.distillation, self.seed)

    @property
    def work(self) -> Sequence[Path]:
        """See `Task.work`."""
        return (theft_work(self.folder),)

    def progress(self) -> TaskProgress:
        """See `Task.progress`."""
        return theft_progress(self.folder, self.theft)

    def _derive(self) -> None:
        """Ask the parent, within a budget of the images that are learned from and measured on, and teach a student."""
        name = self.parent.name.replace(" ", "-")
        with served({name: str(self.parent.folder)}, options=self.parent.choice.serve_options) as (url,):
            plan = self._plan(EndpointSpec(url))
            extract_here([plan])
        stealing_job(self.theft, plan, self._asked, self.seed, self.store, identity=self.key).make()

    def _plan(self, endpoint: EndpointSpec) -> ExtractionPlan:
        with endpoint.open() as asked:
            card = asked.card
        check_victim(card, opened(self.images.dataset).sample_shape)
        folder = theft_work(self.folder) / THEFT
        signals, budget = [PlainAnswer(EMBEDDING, THEFT)], self.theft.asked
        return plan_extraction(signals, self.images.dataset, self._asked, endpoint, folder, budget=budget, card=card)


@dataclass(frozen=True)
class ProbeJob(DerivedJob):
    """A linear probe on a victim's encoder, fitted to the classes of the victim's members.

    Attributes:
        probing: how it is fitted.
    """

    probing: ProbeOptions = field(kw_only=True)
    kind = PROBE

    @property
    def title(self) -> str:
        """See `Task.title`."""
        return f"probe {self.name}"

    @property
    def made_by(self) -> Mapping[str, Any]:
        """See `VictimJob.made_by`."""
        return {"of": self.parent.made_by, "probe": asdict(self.probing)}

    @property
    def code(self) -> str:
        """See `VictimJob.code`."""
        return code_digest(probe, FreshWeightsJob)

    @property
    def _further(self) -> Mapping[str, Any]:
        return {"parent": self.parent.key}

    def _derive(self) -> None:
        with using_threads(1):
            probe(self.parent.folder, self.dataset, read_split(self.samples.path), self.folder, self.probing)


@dataclass(frozen=True)
class FreshWeightsJob(TwinJob):
    """The untrained twin of a derived model: its architecture, which its bundle names, with weights drawn anew."""

    @property
    def needs(self) -> Sequence[Task]:
        """See `Task.needs`."""
        return (self.of,)

    @property
    def reads(self) -> Sequence[Path]:
        """See `Task.reads`."""
        return (self.of.folder,)

    def make(self) -> None:
        """See `Task.make`."""
        with writing(self.folder):
            draft = self.folder.with_name(f"{self.folder.name}.draft")
            save_twin(self.of.folder, draft, self.of.seed + TWIN_SEED)
            draft.replace(self.folder)
