"""Audits from Python, in this process: neither Ray nor MLflow is needed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.answer_store import sample_digests
from latentprint.attack_engine.asking.drivers.in_memory import Channels, InMemoryModel
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.models.victim import TWIN_SEED
from latentprint.attack_engine.result import AuditResult
from latentprint.attack_engine.runs.audit_request import LiveAudit
from latentprint.attack_engine.runs.controls import AUTO, NONE, ControlEncoder
from latentprint.attack_engine.runs.live import run_audit
from latentprint.attack_engine.runs.samples import samples_of_folders
from latentprint.attack_engine.runs.stored_signals import AskingOptions
from latentprint.attack_engine.scheduling.workers import ThisProcess
from latentprint.attack_engine.statistics.discoveries import FDR
from latentprint.core.checks import require_seed
from latentprint.core.datasets import DatasetSpec
from latentprint.core.datasets.in_memory import as_samples, in_memory
from latentprint.core.errors import DataError, Interrupted, UsageError
from latentprint.core.samples import Samples, Size
from latentprint.core.splits import Split, split_by_membership

Model = str | EndpointSpec | Callable[[Any], Any]
ATTACKS = ("encodermi", "supervisedmi")


def audit(
    model: Model,
    members: Any,
    non_members: Any,
    *,
    attacks: str | AttackChoice | Sequence[str | AttackChoice] = ATTACKS,
    untrained: Model | None = AUTO,
    reference: Model | None = None,
    victim: Model | None = None,
    known_fraction: float = 0.5,
    split_by: str = "",
    seed: int = 0,
    budget: int | None = None,
    mean: Channels = (0.0, 0.0, 0.0),
    std: Channels = (1.0, 1.0, 1.0),
    side: Size = 0,
    candidates: Any = None,
    fdr: float = FDR,
    root: str | Path | None = None,
    name: str = "audit",
    quiet: bool = True,
) -> AuditResult:
    """Audit an encoder for membership of its training set.

    The same plan, attacks, controls, statistics and verdict as `latentprint audit`.

    Args:
        model: a PyTorch module (given normalised float32 [B, 3, H, W], or vectors [B, F]), any function of uint8
            [B, H, W, 3] or float32 [B, F], or an endpoint: "grpc://HOST:PORT/MODEL", "local:BUNDLE", an `EndpointSpec`.
            See `InMemoryModel` for what a module or a function may answer.
        members: what it was trained on: a folder of images, an array or tensor, a pair of one and of classes, or a data
            set of PyTorch's kind.
        non_members: what it was not, drawn alike.
        attacks: registered names ("encodermi+partcrop" joins signals), or choices with options. Those that need samples
            of the adversary's own are for the command line (`--auxiliary`).
        untrained: the untrained control. "auto" draws a module's weights anew, and of an endpoint builds what its card
            describes, which a server of latentprint's in a process of its own then serves; or any model; None leaves it
            out, and then no leak is claimed, only indicated.
        reference: the placebo, a trained model that saw neither side; None leaves it out.
        victim: of audits of ownership (name their attacks), the model that the audited one may be stolen from; None
            leaves this positive control out.
        known_fraction: of either side, that attacks are fitted on; the rest is evaluated.
        split_by: how sides were told apart: "coin" (at random from one source), "time", "source", or "" for unknown.
        seed: of crops, views, fits and bootstraps.
        budget: samples that the model may be asked at most; None for no limit.
        mean: of the inputs of modules, a number a channel, as they are in [0, 1].
        std: likewise.
        side: what the images of folders are brought to, pixels: the side of a square, or (height, width); 0 takes
            what an endpoint publishes.
        candidates: samples whose membership is asked for, like `members`: how many of them were trained on, and which.
        fdr: of members lists, the share of false calls allowed on average.
        root: folder where everything is kept; None keeps nothing. With one, the audit of an endpoint resumes.
        name: of the audit's folder in it.
        quiet: whether nothing is shown while it runs.

    Returns:
        the verdict, tables, plots and files.

    Raises:
        KeyboardInterrupt: Ctrl-C; with a `root`, what an endpoint answered is kept.
        UsageError: an option, a model or an attack that cannot be used so.
        DataError: samples that are none, or too few.
        EndpointError: an endpoint that does not answer, or answers what it did not announce.
        BudgetError: the budget does not cover the plan.
    """
    require_seed("seed", seed)
    choices = _choices(attacks)
    dataset, split = _samples(model, members, non_members, candidates, side, known_fraction, seed)
    held = _Held(dataset.open().sample_shape, mean, std)
    for control, what in ((untrained, "untrained"), (reference, "reference"), (victim, "victim")):
        if control is not None and control is model:
            raise UsageError(f"{what} is the audited model itself, which controls nothing: pass another, or None.")
    live = LiveAudit(
        name,
        held.endpoint(model),
        tuple(choice.build(seed) for choice in choices),
        dataset,
        split.stated(split_by) if split_by else split,
        held.untrained(untrained, model),
        seed,
        AskingOptions(workers=1, budget=budget),
        reference="" if reference is None else held.control(reference, "reference"),
        fdr=fdr,
        original="" if victim is None else held.control(victim, "victim"),
    )
    place: AbstractContextManager[str | Path] = nullcontext(root) if root is not None else TemporaryDirectory()
    with place as folder, _as_before():
        report = run_audit(live, Path(folder), Console(stderr=True, quiet=quiet), workers=ThisProcess(), track=False)
        return AuditResult(report.findings, report.table)


@dataclass(frozen=True)
class _Held:
    """How models that the program holds are asked: about samples of one shape, modules with one normalisation."""

    sample_shape: tuple[int, ...]
    mean: Channels
    std: Channels

    def endpoint(self, model: Model, name: str = "") -> EndpointSpec:
        if isinstance(model, EndpointSpec):
            return model
        if isinstance(model, str):
            return EndpointSpec(model)
        if not callable(model):
            raise UsageError(f"model is {type(model).__name__}: give a module, a function or an endpoint's address.")
        name = name or _name(model)
        held = InMemoryModel(model, self.sample_shape, name=name, mean=self.mean, std=self.std)
        return EndpointSpec(f"python:{name}", model=held)

    def untrained(self, given: Model | None, victim: Model) -> str | ControlEncoder:
        if given is None or (given == AUTO and not isinstance(victim, str | EndpointSpec) and not _is_module(victim)):
            return NONE  # nothing is known of how a function came to be
        if given == AUTO and _is_module(victim):
            return self.control(drawn_anew(victim), "untrained")
        return self.control(given, "untrained")

    def control(self, model: Model, role: str) -> str | ControlEncoder:
        if isinstance(model, str):
            return model
        endpoint = self.endpoint(model, role)
        return ControlEncoder(endpoint.url, endpoint=endpoint)


def drawn_anew(module: Any, seed: int = TWIN_SEED) -> Any:
    """A copy of a PyTorch module with weights as before any training: every layer's `reset_parameters` is called.

    Raises:
        UsageError: parameters that no layer draws anew, by name: pass an untrained model instead.
    """
    import torch

    copy = deepcopy(module)
    drawn = set()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for layer in copy.modules():
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
                drawn |= {id(parameter) for parameter in layer.parameters()}
    left = [name for name, parameter in copy.named_parameters() if id(parameter) not in drawn]
    if left:
        raise UsageError(
            f"{', '.join(left[:3])}{' and more' if len(left) > 3 else ''}: no layer of the module draws these "
            "parameters anew. Pass an untrained model of the same architecture as untrained, or None to do without."
        )
    return copy


def _samples(
    model: Model, members: Any, non_members: Any, candidates: Any, side: Size, known_fraction: float, seed: int
) -> tuple[DatasetSpec, Split]:
    """The samples of both sides, and the candidates, as one data set, and its split."""
    given = {"members": members, "non_members": non_members}
    given |= {} if candidates is None else {"candidates": candidates}
    folders = [isinstance(one, str | Path) for one in given.values()]
    if all(folders):
        spec = model if isinstance(model, EndpointSpec) else EndpointSpec(model) if isinstance(model, str) else None
        paths, third = (Path(members), Path(non_members)), None if candidates is None else Path(candidates)
        return samples_of_folders(*paths, spec, side=side, known_fraction=known_fraction, seed=seed, candidates=third)
    if any(folders):
        raise UsageError(f"{', '.join(given)} must all be folders, or none of them: read one as the others are.")
    sides = {name: as_samples(one, name) for name, one in given.items()}
    for first, second in combinations(sides, 2):
        _refuse_shared(first, sides[first][0], second, sides[second][0])
    spec_of_arrays = in_memory(tuple(sides.values()))
    dataset = spec_of_arrays.open()
    side_of = np.repeat(np.arange(len(sides)), [len(samples) for samples, _ in sides.values()])
    asked = None if candidates is None else side_of == 2
    split = split_by_membership(dataset, side_of == 0, candidate=asked, known_fraction=known_fraction, seed=seed)
    return spec_of_arrays, split


@contextmanager
def _as_before() -> Iterator[None]:
    """Leave PyTorch's random numbers as they were, and an interrupt what it is for a program: no error to handle."""
    import torch

    with torch.random.fork_rng(devices=[]):
        try:
            yield
        except Interrupted as error:
            raise KeyboardInterrupt from error


def _choices(attacks: str | AttackChoice | Sequence[str | AttackChoice]) -> list[AttackChoice]:
    """The attacks as asked for, each once."""
    given = [attacks] if isinstance(attacks, str | AttackChoice) else list(attacks)
    choices = [AttackChoice(attack) if isinstance(attack, str) else attack for attack in given]
    if not choices:
        raise UsageError(f"attacks names none: give at least one, such as {ATTACKS[0]!r}.")
    names = [choice.label or choice.name for choice in choices]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"attacks names {twice!r} twice: each counts as an audit; give one of them another label.")
    return choices


def _refuse_shared(name: str, samples: Samples, other_name: str, others: Samples) -> None:
    """Raise `DataError` where a sample is in both, as folders with one image in both are refused."""
    digests = sample_digests(samples), sample_digests(others)
    _, first, second = np.intersect1d(*digests, return_indices=True)
    if len(first):
        raise DataError(
            f"{name}[{first[0]}] and {other_name}[{second[0]}] are the same sample: it cannot be in both; take it out "
            "of one side."
        )


def _is_module(model: Any) -> bool:
    return hasattr(model, "state_dict")


def _name(model: Any) -> str:
    return str(getattr(model, "__name__", type(model).__name__)).strip("<>")
