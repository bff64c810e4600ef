"""A theft from an endpoint's address to a bundle: what it needs is checked, the endpoint asked, the student trained."""

import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from latentprint.attack_engine.asking import EndpointCard, EndpointSpec
from latentprint.attack_engine.asking.extract import extract
from latentprint.attack_engine.asking.plan import plan_extraction
from latentprint.attack_engine.asking.plan_table import plan_table
from latentprint.attack_engine.models.job import STEAL
from latentprint.attack_engine.models.stealing import THEFT, Stealing, check_victim, thief_images
from latentprint.attack_engine.models.stealing_job import StealingJob, stealing_job
from latentprint.attack_engine.models.stored_answers import opened
from latentprint.attack_engine.models.victim import log_bundle
from latentprint.attack_engine.runs.layout import Layout
from latentprint.attack_engine.runs.stored_signals import AskingOptions
from latentprint.attack_engine.scheduling.scheduler import make
from latentprint.attack_engine.scheduling.task import MAKING
from latentprint.attack_engine.scheduling.workers import RayWorkers, TaskWorkers
from latentprint.attack_engine.signals.answers import PlainAnswer
from latentprint.core.bundles import CARD, BundleCard, read_card
from latentprint.core.checks import require_folder, require_seed
from latentprint.core.datasets import DatasetSpec, Ids
from latentprint.core.errors import DataError, UsageError
from latentprint.core.files import writing
from latentprint.core.mirror import mirror_of
from latentprint.core.outputs import EMBEDDING
from latentprint.core.ray_session import require_cluster
from latentprint.core.text import printable, say
from latentprint.core.tracking import Run, dataset_input, default_uri, new_run, tracked
from latentprint.core.tracking.models import model_description


@dataclass(frozen=True)
class Theft:
    """What a user asks for.

    Attributes:
        endpoint: the victim.
        dataset: where the thief's images come from.
        ids: those that may be asked, int64 [S].
        out: folder of the bundle.
        options: loss, queries, student and training.
        seed: of the draw of images and of the training.
        asking: how the endpoint is asked; the budget is one of all thefts from it below one root.
    """

    endpoint: EndpointSpec
    dataset: DatasetSpec
    ids: Ids
    out: Path
    options: Stealing = field(default_factory=Stealing)
    seed: int = 0
    asking: AskingOptions = field(default_factory=AskingOptions)

    def __post_init__(self) -> None:
        require_seed("seed", self.seed)


def run_theft(theft: Theft, root: Path, console: Console, *, workers: TaskWorkers | None = None) -> BundleCard:
    """Steal the endpoint's encoder with everything below `root`; the bundle is at `theft.out` and in the store.

    Raises:
        UsageError: no embedding, too few images, no classes for a loss that reads them, a student that is not made,
            another bundle at `out`.
        EndpointError, BudgetError, DataError: see `plan_extraction` and `extract`.
        Interrupted: Ctrl-C or SIGTERM; answers and the training's checkpoint are kept.
    """
    require_folder(root, "--root")
    if workers is None:
        require_cluster()
    place = workers or RayWorkers(mirror_of(root))
    with theft.endpoint.open() as asked:
        card = asked.card
    dataset = theft.dataset.open()
    check_victim(card, dataset.sample_shape)
    # The budget of a cluster is kept by the cluster; that of a machine is looked up before anything is started.
    with nullcontext() if mirror_of(root) is None else place.session(theft.asking.workers):
        _steal(theft, card, thief_images(theft.options, dataset, theft.ids, theft.seed), root, console, place)
    found = read_card(theft.out)
    for sentence in fidelity_sentences(found):
        say(console, sentence)
    return found


def _steal(theft: Theft, card: EndpointCard, chosen: Ids, root: Path, console: Console, place: TaskWorkers) -> None:
    """Ask about the images `chosen`, int64 [S], and learn from the answers, where that was not done."""
    layout = Layout(root, STEAL)
    plan = plan_extraction(
        [PlainAnswer(EMBEDDING, THEFT)],
        theft.dataset,
        chosen,
        theft.endpoint,
        layout.signals(card.identity) / THEFT,
        budget=theft.asking.budget,
        keep=theft.asking.keep_answers,
        card=card,
    )
    job = stealing_job(theft.options, plan, chosen, theft.seed, layout.models)
    if _is_there(job, theft.out):
        return
    console.print(plan_table(plan))
    run = new_run(default_uri(root), STEAL, theft.out.name, job.key, layout.mlflow)
    with tracked(run, console), place.session(theft.asking.workers):
        extract([plan], workers=theft.asking.workers, console=console, place=place)
        make([job], {MAKING: 1}, console, place)
        _copied(job, theft.out)
        _log(run, theft, read_card(job.folder))


def fidelity_sentences(card: BundleCard) -> Iterator[str]:
    """What a stolen bundle's card says of its fidelity, for people."""
    found = card.training.get("fidelity")
    if found is None:
        return
    scores = "; ".join(
        f"{name.replace('_', ' ')} {found[name]['value']:.3f} "
        f"[{found[name]['interval']['low']:.3f}, {found[name]['interval']['high']:.3f}]"
        for name in ("cosine", "l2", "mutual_information")
    )
    yield (
        f"Fidelity on {found['images']} images that it did not learn from, 95 % intervals: {scores}. "
        "1 is the victim itself; its embeddings of other images have 0, 0.293 and 0."
    )


def _is_there(job: StealingJob, out: Path) -> bool:
    """Whether `out` holds this very theft's bundle. Raises `UsageError` where it holds something else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    if not (out / CARD).is_file() or read_card(out).training.get("identity") != job.key:
        raise UsageError(
            f"{printable(out)} holds something else than what this theft gives: choose another folder with --out, or "
            "remove it."
        )
    return True


def _copied(job: StealingJob, out: Path) -> None:
    """The job's bundle at `out`, whole or not at all."""
    draft = out.with_name(f".{out.name}.draft")
    with writing(out):
        shutil.rmtree(draft, ignore_errors=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copytree(job.folder, draft)
            draft.replace(out)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _log(run: Run, theft: Theft, card: BundleCard) -> None:
    run.set_tags({"latentprint.kind": "theft", "latentprint.bundle": str(theft.out)})
    run.log_params({"queries": card.training["queries"], "victim": card.training["victim"]})
    run.log_input(dataset_input(opened(theft.dataset), theft.dataset), THEFT)
    run.describe(" ".join(fidelity_sentences(card)) or model_description(card))
    log_bundle(run, card)


def images_of_split(split: Path) -> tuple[DatasetSpec, Ids]:
    """The images that a thief has by a split's file: its distillation samples; where it has none, its non-members.

    Raises:
        UsageError: the split does not say which data set; DataError: a bad file, a changed data set.
    """
    from latentprint.attack_engine.runs.samples import samples_of_split

    dataset, drawn = samples_of_split(split)
    ids = drawn.distillation if len(drawn.distillation) else drawn.ids(member=False)
    if not len(ids):
        raise DataError(f"{printable(split)} has neither distillation samples nor non-members to steal with.")
    return dataset, ids
