"""Findings like those of a real report: a leak, none found, a failed control, and the corners of each."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from latentprint.attack_engine.asking.queries import Queries
from latentprint.attack_engine.attacks.definition import MEMBERSHIP
from latentprint.attack_engine.findings.results import Findings, LeftOut, Published, SampleFolder, SharedImage
from latentprint.attack_engine.questions.header import (
    AttackDescription,
    Control,
    Effect,
    Outcome,
    VictimDescription,
)
from latentprint.attack_engine.questions.membership.results import (
    Artefact,
    Evaluation,
    Exposed,
    MembershipFinding,
    MembershipResult,
    Sweep,
    SweepPoint,
    Validity,
)
from latentprint.attack_engine.questions.membership.wording import labelled
from latentprint.attack_engine.statistics.estimates import (
    BlindBaseline,
    Difference,
    Discoveries,
    EpsilonBound,
    Estimate,
    Histogram,
    Interval,
    Power,
    Roc,
    SplitTest,
    TprAtFpr,
)
from latentprint.attack_engine.statistics.figures import Correlations, Curves, Figure, NamedHistogram

LEVEL = 0.95


def interval(low: float, high: float, level: float = LEVEL, method: str = "DeLong") -> Interval:
    return Interval(low, high, level, method)


def around(value: float, half: float, level: float = LEVEL, method: str = "DeLong") -> Estimate:
    return Estimate(value, interval(value - half, value + half, level, method))


def roc_points(members: np.ndarray, non_members: np.ndarray) -> Roc:
    thresholds = np.unique(np.concatenate([members, non_members]))[::-1]
    tpr = np.array([0.0, *[(members >= t).mean() for t in thresholds]])
    fpr = np.array([0.0, *[(non_members >= t).mean() for t in thresholds]])
    half = 1.96 * np.sqrt(np.maximum(tpr * (1 - tpr), 0.002) / len(members))
    return Roc(
        tuple(fpr.tolist()),
        tuple(tpr.tolist()),
        tuple(np.clip(tpr - half, 0, 1).tolist()),
        tuple(np.clip(tpr + half, 0, 1).tolist()),
        LEVEL,
    )


def rate(members: np.ndarray, non_members: np.ndarray, target: float) -> TprAtFpr:
    m, n = len(members), len(non_members)
    if target < 1 / n:
        return TprAtFpr(target, m, n, None, None, None, None, None, None, None)
    thresholds = np.unique(np.concatenate([members, non_members]))
    threshold = float(next(t for t in thresholds if (non_members >= t).mean() <= target))
    found, wrong = int((members >= threshold).sum()), int((non_members >= threshold).sum())
    tpr = found / m
    return TprAtFpr(
        target, m, n, tpr, threshold, found, wrong, wrong / n,
        interval(max(tpr - 0.06, 0), tpr + 0.07, method="Clopper-Pearson"),
        interval(max(tpr - 0.08, 0), tpr + 0.1, method="bootstrap"),
    )  # fmt: skip


def evaluate(members: np.ndarray, non_members: np.ndarray, epsilon: float) -> Evaluation:
    auc = float((members[:, None] > non_members[None]).mean())
    half = 0.9 / np.sqrt(len(members) + len(non_members))
    edges = np.histogram_bin_edges(np.concatenate([members, non_members]), 24)
    recall, fpr = float((members > 0.5).mean()), float((non_members > 0.5).mean())
    called = recall * len(members) + fpr * len(non_members)
    precision = recall * len(members) / called if called else None
    return Evaluation(
        members=len(members),
        non_members=len(non_members),
        auc=around(auc, float(half)),
        balanced_accuracy=around((recall + 1 - fpr) / 2, float(half), method="Clopper-Pearson"),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision else 0.0,
        tpr_at_fpr=(rate(members, non_members, 0.01), rate(members, non_members, 0.001)),
        epsilon=EpsilonBound(epsilon, 1e-5, LEVEL, 200),
        roc=roc_points(members, non_members),
        histogram=Histogram(
            tuple(edges.tolist()),
            tuple(np.histogram(members, edges)[0].tolist()),
            tuple(np.histogram(non_members, edges)[0].tolist()),
        ),
    )


def picture(rng: np.random.Generator, side: int) -> str:
    blocks = rng.integers(30, 230, (4, 4, 3), dtype=np.uint8)
    pixels = np.kron(blocks, np.ones((side // 4, side // 4, 1), np.uint8))
    noise = rng.integers(0, 25, pixels.shape, dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels + noise).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def exposed(rng: np.random.Generator, likely: float, high: bool, side: int) -> tuple[Exposed, ...]:
    return tuple(
        Exposed(
            sample_id=int(rng.integers(0, 2000)),
            member=bool(rng.random() < likely),
            score=float((4 if high else -4) + rng.normal() - i * (0.2 if high else -0.2)),
            percentile=(99.9 - i) / 100 if high else (0.1 + i) / 100,
            image=picture(rng, side),
            file=f"class {i % 3}/a rather long name of a file, as cameras give it, {i:04}.jpeg" if i % 2 else "",
        )
        for i in range(12)
    )


def energy_curves(rng: np.random.Generator, gap: float) -> tuple[Curves, ...]:
    ranks = np.arange(1, 129)
    base = 3.2 * np.exp(-ranks / 40) + 0.15
    lift = gap * np.exp(-ranks / 25)
    error = 0.05 * np.exp(-ranks / 60) + 0.01
    return tuple(
        Curves(
            f"Part response, {name} energy", "crop rank", "energy, nats",
            tuple((base * scale + lift + 0.01 * rng.normal(size=128)).tolist()), tuple(error.tolist()),
            tuple((base * scale).tolist()), tuple(error.tolist()),
        )
        for name, scale in (("uniform", 1.0), ("Gaussian", 0.7))
    )  # fmt: skip


def sequence_figures(rng: np.random.Generator) -> tuple[Figure, ...]:
    """Of six metrics, one of which never varied for a non-member."""
    names = ("cosine", "l2", "norm", "overlap", "uniform-energy", "gaussian-energy")
    matrix = np.corrcoef(rng.normal(size=(6, 12)))
    rows = tuple(tuple(row) for row in matrix.tolist())
    fewer = tuple(
        tuple(None if 2 in (i, j) else 0.4 * value for j, value in enumerate(row)) for i, row in enumerate(rows)
    )
    edges = tuple(np.linspace(0.0, 3.0, 41).tolist())
    counts = tuple(tuple(np.histogram(rng.gamma(shape, 0.5, 1500), edges)[0].tolist()) for shape in (1.5, 2.5))
    histogram = NamedHistogram(
        "Fluctuation of gaussian-energy", "sum of |change of gaussian-energy| over the snapshots",
        Histogram(edges, *counts), "Of the evaluated samples, over the snapshots alone.",
    )  # fmt: skip
    return Correlations("Correlation between metric sequences", names, rows, fewer, "Pearson’s."), histogram


def validity(excess: float, blind: float, members: int, p: float) -> Validity:
    return Validity(
        controls_in_report=12,
        control_tails={},
        blind=BlindBaseline(around(blind, 0.055), blind > 0.56, "pixels and simple image statistics"),
        split_test=SplitTest("classifier two-sample test", 0.012, p, p < 0.05),
        power=Power(members, members, 0.8, 0.5 + 1.1 / members**0.5, 0.001, 1000),
        differences=tuple(
            Difference(name, around(excess, 0.07), 0.004 if excess > 0.1 else 0.3, 0.996 if excess > 0.1 else 0.7, None)
            for name in ("untrained encoder", "blind baseline")
        ),
        absent=("placebo encoder",),
        split_by="coin",
    )


def control(name: str, auc: float, holds: bool = True) -> Control:
    return Control(
        name, "the same attack on an untrained encoder of this architecture, served the same way",
        Effect.of("AUC", around(auc, 0.085, 1 - 0.05 / 12), 0.5), holds,
    )  # fmt: skip


def audit(
    victim: VictimDescription, attack: str, *, gap: float, size: int = 100, seed: int = 0, blind: float = 0.51,
    failed: bool = False, curves: bool = False, discovered: int = 0, side: int = 32,
) -> MembershipFinding:  # fmt: skip
    rng = np.random.default_rng(seed)
    members, non_members = rng.normal(gap, 1, size), rng.normal(0, 1, size)
    evaluation = evaluate(members, non_members, max(0.0, gap - 0.4))
    leak = evaluation.auc.interval.low > 0.5 and not failed
    outcome = Outcome.INVALID if failed else Outcome.FOUND if leak else Outcome.NONE
    sentence = {
        Outcome.FOUND: f"{attack} tells members of {victim.name}'s training set from other images, beyond chance.",
        Outcome.NONE: f"{attack} found no leak in {victim.name} that {2 * size} samples could show.",
        Outcome.INVALID: f"{attack}'s result on {victim.name} says nothing: a null control failed.",
    }[outcome]
    controls = (
        control("untrained encoder", 0.62 if failed else 0.485, not failed),
        control("disjoint non-members", 0.51),
    )
    return MembershipFinding(
        question=MEMBERSHIP,
        victim=victim,
        attack=AttackDescription(
            attack,
            "Compares the answers for parts of an image with the answer for the whole.",
            "Part-aware membership inference, CCS 2024",
        ),
        effect=Effect.of("AUC", evaluation.auc, 0.5),
        p_value=0.001 if leak else 0.4,
        controls=controls,
        verdict=labelled(outcome, sentence, ("The AUC's interval lies above chance.",) if leak else ()),
        queries=Queries(25_800, 25_800, 1_290 * (seed % 3), 12, 60_000 if seed % 2 else None, 73.4 + seed),
        digests={"dataset": "sha256:" + "41aa" * 16, "split": "sha256:" + "9f2c" * 16},
        figures=energy_curves(rng, gap / 6) if curves else (),
        seed=seed,
        result=MembershipResult(
            evaluation=evaluation,
            validity=validity(evaluation.auc.value - blind, blind, size, 0.41),
            discoveries=Discoveries(0.05, tuple(range(3, 3 + 7 * discovered, 7)), max(discovered - 1, 0)),
            most_exposed=exposed(rng, 0.5 + gap / 3, True, side),
            least_exposed=exposed(rng, 0.5 - gap / 3, False, side),
            known_members=size,
            known_non_members=size,
        ),
    )


def victim(name: str, dataset: str) -> VictimDescription:
    return VictimDescription(
        name=name,
        url="grpc://127.0.0.1:8701/" + name.lower().replace(" ", "-"),
        dataset=dataset,
        card={
            "model": name,
            "architecture": "vit_tiny_patch16_224",
            "outputs": {"embedding": [128], "feature_map": [16, 128]},
            "weights_digest": "sha256:" + "be11" * 16,
            "max_images_per_request": 1024,
        },
        training={"recipe": "mae", "epochs": 1000, "knn_accuracy": 0.4125, "loss": [1.0 / (i + 1) for i in range(50)]},
    )


def build_findings() -> Findings:
    mae, digits = victim("MAE, generated composites", "composites"), victim("MAE, handwritten digits", "digits")
    long = victim("MoCo with a very long name <script>alert('x')</script> & a rather narrow ResNet-18", "composites")
    audits = (
        audit(mae, "PartCrop", gap=0.8, seed=1, curves=True, discovered=17),
        audit(mae, "EncoderMI-V", gap=1.25, seed=2, discovered=1),
        audit(mae, "SupervisedMI", gap=0.05, seed=3),
        audit(digits, "PartCrop", gap=0.02, seed=4, curves=True, side=8),
        replace(
            audit(digits, "EncoderMI-V", gap=0.9, seed=5, size=1500, blind=0.62, side=8),
            figures=sequence_figures(np.random.default_rng(8)),
        ),
        audit(long, "PartCrop", gap=0.6, seed=6, failed=True, curves=True),
        audit(long, "Variance-onlyMI", gap=0.1, seed=7),
    )
    return Findings(
        title="Quickstart: digits & composites",
        created="2026-11-20 14:02 UTC",
        verdict=labelled(
            Outcome.FOUND,
            "Leak found in 3 of 7 audits (95 % confidence over all of them together).",
            ("EncoderMI-V on MAE, generated composites is the clearest: AUC 0.81.",),
        ),
        audits=audits,
        configuration={"seed": 7, "attacks": ["partcrop", "encodermi-v"], "victims": {"mae": {"epochs": 1000}}},
        versions={"latentprint": "0.1.0", "torch": "2.15.0", "python": "3.11.9"},
        folders=(
            SampleFolder(
                "/data/trained on",
                200,
                (LeftOut("hidden", 1204, (".DS_Store", "._a.png")), LeftOut("a link to nothing", 1, ("b",))),
            ),
            SampleFolder("/data/not trained on", 200),
        ),
        shared=(SharedImage("cat/1.png", "copy of 1.png", True), SharedImage("2.png", "2.jpg", False)),
    )


@pytest.fixture(scope="session")
def findings() -> Findings:
    return build_findings()


def variant(
    original: VictimDescription, name: str, probe: float, *defences: dict, **training: object
) -> VictimDescription:
    """`original` under another name, with defences and with what they change of its training."""
    known = {
        **original.training,
        "options": {"depth": 4, "crop_scale_from": 0.2, **training.pop("options", {})},
        "seed": 0, "defences": list(defences), "probe_accuracy": probe, **training,
    }  # fmt: skip
    return replace(original, name=name, url=f"grpc://127.0.0.1:8701/{name}", training=known)


def swept(audit: MembershipFinding) -> MembershipFinding:
    """`audit` with both sweeps, towards its own result."""
    gain = audit.result.evaluation.auc.value - 0.5

    def sweep(name: str, places: tuple[float, ...]) -> Sweep:
        shares = [(i + 1) / len(places) for i in range(len(places))]
        points = [
            SweepPoint(
                x, around(0.5 + share * gain, 0.08), around(0.5 + share * gain / 2, 0.07, method="Clopper-Pearson")
            )
            for x, share in zip(places, shares, strict=True)
        ]
        return Sweep(name, tuple(points))

    sweeps = sweep("knowledge", (0.1, 0.2, 0.3, 0.4, 0.5)), sweep("queries", (17, 33, 65, 129))
    return replace(audit, result=replace(audit.result, sweeps=sweeps))


def treated(audit: MembershipFinding) -> MembershipFinding:
    """`audit` with the control experiment on how samples are treated, of its untrained twin and of itself."""
    numbers = {False: (0.481, 0.483, 0.579, 0.569), True: (0.6, 0.57, 0.66, 0.61)}
    artefacts = [
        Artefact(trained, 300, 300, *(around(value, 0.04) for value in values)) for trained, values in numbers.items()
    ]
    return replace(audit, result=replace(audit.result, artefacts=tuple(artefacts)))


def build_compared() -> Findings:
    """Findings with all that sets audits beside one another: defences, sweeps, shadows, a paper, the treatment."""
    base = build_findings()
    mae = variant(victim("mae", "composites"), "mae", 0.48)
    victims = (
        mae,
        variant(mae, "mae-early", 0.451, {"name": "early-stop", "options": {"fraction": 0.5}}),
        variant(mae, "mae-scsr", 0.468, {"name": "scsr", "options": {"lower": 0.4}}, options={"crop_scale_from": 0.4}),
        variant(
            mae, "mae-dp", 0.132, {"name": "dp-sgd", "options": {"clip": 1.0, "noise": 0.8}},
            privacy={"epsilon": 0.3, "delta": 1e-5},
        ),
    )  # fmt: skip
    gaps = (1.2, 1.1, 2.4, 0.0)
    audits = [
        audit(one, attack, gap=gap if attack == "partcrop" else gap / 2, size=300, seed=seed)
        for seed, (one, gap) in enumerate(zip(victims, gaps, strict=True))
        for attack in ("partcrop", "partcrop+encodermi")
    ]
    audits[:2] = [treated(swept(audits[0])), swept(audits[1])]
    shadow = audit(mae, "partcrop", gap=0.7, size=300, seed=11)
    shadow = replace(shadow, attack=replace(shadow.attack, fitted_on="mae-on-digits"))
    audits += [replace(shadow, result=replace(shadow.result, discoveries=None))]
    return replace(
        base,
        audits=tuple(audits),
        scale="small",
        published=(
            Published("PartCrop, Table 3", "mae", "partcrop", {"accuracy": 0.5838, "precision": 0.57, "recall": 0.6}),
            Published("PartCrop, Table 3", "moco", "partcrop", {"accuracy": 0.772}),
            Published("PartCrop, Figure 5", "mae", "partcrop", {"accuracy": 0.5674}, knowledge=0.1),
            Published("PartCrop, Figure 5", "mae", "partcrop", {"accuracy": 0.55}, queries=65),
            Published("PartCrop, Figure 5", "mae", "partcrop", {"accuracy": 0.55}, queries=64),
            Published("PartCrop, Table 6", "mae", "partcrop", {"accuracy": 0.565}, shadow="mae-on-digits"),
            Published("PartCrop, Table 8", "mae-dp", "partcrop", {"accuracy": 0.545, "probe_accuracy": 0.132}),
        ),
    )


@pytest.fixture(scope="session")
def compared() -> Findings:
    return build_compared()
