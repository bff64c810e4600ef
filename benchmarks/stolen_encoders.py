"""Which stolen encoders each test of ownership flags, by the loss they were stolen with and by what hides them.

Small convolutional victims are trained on private images of their own; each is stolen by every loss with as many
queries of other images, and served behind every obfuscation. Its independent encoder is trained alike on images that
nobody else has. In the environment, VICTIMS sets how many there are of each kind (1), and RESULTS a file of JSON lines
(runs/stolen_encoders.jsonl): what is there already is not measured again, so that a run that was stopped goes on.
docs/ownership.md holds what it printed.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from scipy.stats import binom, norm
from timm.models import register_model
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from benchmarks.ownership_level import (
    ATTACKS,
    DATA,
    DIM,
    LEVEL,
    OTHERS,
    VICTIM_STEPS,
    as_input,
    drawn,
    layers,
    scores,
    tested,
    trained,
)
from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.drivers.in_memory import InMemoryModel
from latentprint.attack_engine.attacks import Attack
from latentprint.attack_engine.models.distil import DistillationSet
from latentprint.attack_engine.models.stealing import Stealing, steal, student_spec
from latentprint.attack_engine.models.stealing_job import embeddings
from latentprint.attack_engine.models.stealing_losses import STEALING_LOSSES
from latentprint.attack_engine.models.student import Student
from latentprint.attack_engine.statistics.binomial import clopper_pearson
from latentprint.attack_engine.statistics.mean_difference import Sides, paired_mean_difference
from latentprint.core.encoders import Encoder
from latentprint.core.obfuscation import ObfuscationStep
from latentprint.core.outputs import EMBEDDING
from latentprint.core.splits import Split
from latentprint.encoder_server.obfuscations import obfuscated
from latentprint.encoder_server.settings import Obfuscation
from latentprint.encoder_server.victims import Victim

VICTIMS = int(os.environ.get("VICTIMS", "1"))
RESULTS = Path(os.environ.get("RESULTS", "runs/stolen_encoders.jsonl"))
QUERIES, EPOCHS, COLLAPSE_STEPS = 1000, 8, 150
OBFUSCATIONS = ("permutation", "padding=32", "linear", "rounding=2")
SETTINGS = [QUERIES, EPOCHS, VICTIM_STEPS, COLLAPSE_STEPS, *OBFUSCATIONS]
Row = dict[str, Any]
Train = Callable[[int, np.ndarray], nn.Module]


class SmallEncoder(nn.Module):
    """A small network as timm models are, so that it can be a student: what it embeds are its features."""

    num_features = DIM

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.pretrained_cfg = {"mean": (0.5,) * 3, "std": (1.0,) * 3}

    def forward_features(self, images: Tensor) -> Tensor:
        """Embeddings [B, D] of images [B, 3, H, W]."""
        embedded: Tensor = self.network(images)
        return embedded

    def forward_head(self, features: Tensor, *, pre_logits: bool) -> Tensor:
        """`features` as they are."""
        del pre_logits
        return features


def small_encoder(**options: Any) -> nn.Module:
    """A thief's student: the victim's own architecture, which favours the tests."""
    del options
    return SmallEncoder(layers())


def main() -> None:
    """Measure what is not there yet, and print the tables and the ratios that the tests are held to."""
    torch.set_num_threads(1)
    register_model(small_encoder)
    done = kept()
    with RESULTS.open("a", encoding="utf-8") as file:
        for seed in range(VICTIMS):
            for kind in KINDS:
                for row in measured(
                    kind, seed, {row["suspect"] for row in done if (row["kind"], row["seed"]) == (kind, seed)}
                ):
                    print(json.dumps(row), file=file, flush=True)
                    done.append(row)
    most, wrong = int(binom.ppf(0.975, VICTIMS, LEVEL)), []
    for kind in KINDS:
        rows = [row for row in done if row["kind"] == kind and row["seed"] < VICTIMS]
        print_table(kind, rows)
        wrong.append([flagged(rows, "independent", attack.name) for attack in ATTACKS])
    for attack, counts in zip(ATTACKS, zip(*wrong, strict=True), strict=True):
        print(f"ratio independent-flagged-{attack.name} {max(counts)} (target <= {most})")


def kept() -> list[Row]:
    """What an earlier run with the same settings has measured."""
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    lines = RESULTS.read_text(encoding="utf-8").splitlines() if RESULTS.exists() else []
    return [row for row in map(json.loads, lines) if row["settings"] == SETTINGS]


def measured(kind: str, seed: int, done: set[str]) -> Iterator[Row]:
    """A row for each suspect that is not done: what each test finds, alone and beyond the independent encoder."""
    if set(SUSPECTS) <= done:
        return
    split, others = drawn(seed, OTHERS + QUERIES)
    victim = encoder(KINDS[kind](seed, split.ids(member=True)))
    independent = encoder(KINDS[kind](1000 + seed, others[:OTHERS]))
    beside = asked(independent, split)
    for name in SUSPECTS:
        if name not in done:
            own = asked(suspect(name, victim, independent, others[OTHERS:], seed), split)
            rng = np.random.default_rng(seed)
            tests = {attack.name: found(attack, own[attack.name], beside[attack.name], rng) for attack in ATTACKS}
            yield {"settings": SETTINGS, "kind": kind, "seed": seed, "suspect": name, "tests": tests}


def found(attack: Attack, own: Sides, independent: Sides, rng: np.random.Generator) -> dict[str, float]:
    """Effect and p-value of one test, the published p-value, and that of the excess over the independent encoder."""
    difference, published = tested(attack, own, rng)
    beyond = paired_mean_difference(own, independent, rng=rng).p_value
    return {"effect": difference.difference.value, "p": difference.p_value, "beyond": beyond, "published": published}


def suspect(name: str, victim: Encoder, independent: Encoder, queried: np.ndarray, seed: int) -> Encoder:
    """The encoder that is accused: one of the two, a thief, or the victim behind an obfuscation."""
    if name in STEALING_LOSSES.names():
        return stolen(name, victim, queried, seed)
    if name in OBFUSCATIONS:
        served = Victim(name, victim, "", 32, True, "")
        return obfuscated(served, Obfuscation((ObfuscationStep.parse(name),), seed)).encoder
    return {"victim": victim, "independent": independent}[name]


def stolen(loss: str, victim: Encoder, queried: np.ndarray, seed: int) -> Encoder:
    """A student of the victim's embeddings of the images `queried`."""
    options = Stealing(loss, QUERIES, 0, small_encoder.__name__, epochs=EPOCHS)
    student = Student(student_spec(options, DIM), "embedding", (DIM,), DATA.sample_shape, seed)
    examples = DistillationSet(DATA.images(queried), embeddings(victim, DATA, queried))
    with TemporaryDirectory() as work:
        steal(student, options, examples, DATA.labels["class"][queried], Path(work), key=loss, seed=seed)
    return student.encoder()


def asked(suspected: Encoder, split: Split) -> dict[str, Sides]:
    """Scores of held-out private and of test images by each test."""
    held = InMemoryModel(lambda images: suspected.answer(images, (EMBEDDING,)), DATA.sample_shape, name="suspect")
    with EndpointSpec("python:suspect", model=held).open() as endpoint:
        return {attack.name: scores(attack, split, endpoint) for attack in ATTACKS}


def encoder(network: nn.Module) -> Encoder:
    """A small network as what answers embeddings."""
    return Encoder(SmallEncoder(network), (EMBEDDING,))


def contrasted(seed: int, ids: np.ndarray) -> nn.Module:
    """Trained so that two crops of one image are alike."""
    return trained(seed, ids, VICTIM_STEPS)


def collapsed(seed: int, ids: np.ndarray, batch: int = 100, classes: int = 10, temperature: float = 0.1) -> nn.Module:
    """Trained on labels that were drawn at random until each image's embedding points where its class does."""
    torch.manual_seed(seed)
    model, heads, rng = layers(), nn.Parameter(torch.randn(classes, DIM)), np.random.default_rng(seed)
    images, labels = as_input(DATA.images(ids)), torch.from_numpy(rng.integers(0, classes, len(ids)))
    optimiser = torch.optim.Adam([*model.parameters(), heads], 2e-3)
    for _ in range(COLLAPSE_STEPS):
        rows = torch.from_numpy(rng.permutation(len(ids))[:batch])
        cosines = normalize(model(images[rows]), dim=1) @ normalize(heads, dim=1).T
        optimiser.zero_grad()
        torch.autograd.backward(cross_entropy(cosines / temperature, labels[rows]))
        optimiser.step()
    return model.eval()


KINDS: dict[str, Train] = {"contrasted": contrasted, "collapsed": collapsed}
SUSPECTS = ("victim", "independent", *STEALING_LOSSES.names(), *OBFUSCATIONS)


def flagged(rows: Sequence[Row], name: str, test: str, key: str = "p") -> int:
    """Of how many of these rows of a suspect the test's p-value `key` is at most 5 %."""
    return sum(row["tests"][test][key] <= LEVEL for row in rows if row["suspect"] == name)


def print_table(kind: str, rows: Sequence[Row]) -> None:
    """How many of each suspect each test flags, with the exact interval of the share, and the median difference."""
    for attack in ATTACKS:
        print(f"\n{kind}, {attack.name}: flagged [95 % of the share]; beyond independent; as published; median effect")
        for name in SUSPECTS:
            effects = [row["tests"][attack.name]["effect"] for row in rows if row["suspect"] == name]
            alone, beyond, published = (flagged(rows, name, attack.name, key) for key in ("p", "beyond", "published"))
            share, middle = clopper_pearson(alone, len(effects)), float(np.median(effects))
            print(
                f"{name:>13}: {alone:2} of {len(effects)} [{share.low:.2f}, {share.high:.2f}]; {beyond:2}; "
                f"{published:2}; {middle:+.2f}, which {images_needed(middle)}"
            )


def images_needed(effect: float, power: float = 0.8) -> str:
    """How many held-out private images, and as many test images, show a difference in four of five audits."""
    if effect <= 0:
        return "no number of images shows"
    return f"{int(np.ceil(2 * ((norm.ppf(power) - norm.ppf(LEVEL)) / effect) ** 2)):,} images a side show"


if __name__ == "__main__":
    main()
