"""Attacks on posteriors, and on a distilled encoder, from file to findings: prepared once, and added to."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow
Run = Callable[..., None]
SHORT = {"epochs": 3, "learning_rate": 0.05}
PERCEPTRON = {"architecture": "mlp", "crop_scale_from": 1.0, "flip": 0.0}
EXPERIMENT = {
    "name": "posteriors",
    "datasets": {
        "baskets": {"name": "baskets", "options": {"count": 700, "features": 60, "classes": 5}},
        "images": {"name": "composites", "options": {"count": 200, "side": 16}},
    },
    "splits": {
        "shadowed": {
            "dataset": "baskets",
            "members": 100,
            "non_members": 200,
            "known_fraction": 0,
            "shadow_members": 100,
            "shadow_non_members": 100,
            "distillation": 150,
            "candidates": {"count": 10, "used": 4},
        },
        "partial": {
            "dataset": "images",
            "members": 40,
            "non_members": 80,
            "distillation": 60,
            "candidates": {"count": 10, "used": 4},
        },
    },
    "victims": [
        {
            "name": name,
            "recipe": "supervised",
            "split": "shadowed",
            "epochs": 60,
            "options": {**PERCEPTRON, "architecture_options": {"hidden": [width]}},
        }
        for name, width in (("narrow", 32), ("wide", 48))
    ]
    + [
        {
            "name": "encoder",
            "recipe": "mae",
            "split": "partial",
            "epochs": 2,
            "options": {"embed_dim": 32, "depth": 1, "heads": 2},
        }
    ],
    "attacks": [
        {"name": "seqmia", "options": {"distillation": SHORT}, "inference_options": {"epochs": 3}},
        {"name": "lira", "options": {"references": {"count": 4}}},
        {"name": "lira-online", "options": {"references": {"count": 8}}},
        "mba-m-entropy",
        {"name": "label-only", "options": {"queries": 32, "rounds": 1}},
        {
            "name": "seqmia-encoder",
            "options": {"distillation": {**SHORT, "output": "feature_map", "optimiser": "adamw"}},
            "inference_options": {"epochs": 3},
        },
    ],
    "pairs": True,
    "workers": 1,
}
FITTED = ("seqmia", "lira", "mba-m-entropy", "label-only")


def run(run_here: Run, folder: Path, experiment: dict, *options: str, part: str = "") -> list[dict]:
    path = folder / "posteriors.yaml"
    path.write_text(yaml.safe_dump(experiment, sort_keys=False))
    run_here("run", path, "--root", folder / "runs", *options)
    return json.loads((folder / "runs" / experiment["name"] / part / "findings.json").read_text())["audits"]


def made(folder: Path, *kinds: str) -> dict[str, int]:
    store = folder / "runs" / "store"
    return {str(p): p.stat().st_mtime_ns for kind in kinds for p in (store / kind).rglob("*") if p.is_file()}


def twins(folder: Path) -> set[str]:
    return {path.name for path in (folder / "runs" / "store" / "victims").glob("*-untrained")}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, run_here: Run) -> tuple[Path, list[dict]]:
    folder = tmp_path_factory.mktemp("posteriors")
    return folder, run(run_here, folder, EXPERIMENT)


def test_every_ordered_pair_and_every_setting_is_audited(first: tuple[Path, list[dict]]) -> None:
    cells = [(audit["victim"]["name"], audit["attack"]["name"], audit["attack"]["fitted_on"]) for audit in first[1]]
    shadows = {(v, a, f"shadow of {s}") for v in ("narrow", "wide") for s in ("narrow", "wide") for a in FITTED}
    online = {
        ("narrow", "lira-online", "reference models"),
        ("narrow", "lira-online", "reference models like shadow of wide"),
        ("wide", "lira-online", "reference models"),
        ("wide", "lira-online", "reference models like shadow of narrow"),
    }
    assert len(cells) == len(set(cells))
    assert set(cells) == shadows | online | {("encoder", "seqmia-encoder", "")}


def test_every_audit_has_its_controls_and_counts_its_queries(first: tuple[Path, list[dict]]) -> None:
    for audit in first[1]:
        names = {control["name"] for control in audit["controls"]}
        labels = set() if audit["attack"]["name"] == "seqmia-encoder" else {"labels alone"}
        assert names == {"untrained encoder", "exchanged non-members"} | labels
        imitated = 60 if audit["attack"]["name"] == "seqmia-encoder" else 150
        asked = (130 if audit["attack"]["name"] == "seqmia-encoder" else 310) + (
            imitated if "seqmia" in audit["attack"]["name"] else 0
        )
        asked *= 32 if audit["attack"]["name"] == "label-only" else 1
        assert audit["queries"]["sent"] == audit["queries"]["answered"] == asked - audit["queries"]["cached"]
        assert audit["queries"]["cached"] == 0 or audit["attack"]["name"] == "label-only"


def test_every_attack_scores_the_candidates(first: tuple[Path, list[dict]]) -> None:
    for audit in first[1]:
        candidates = audit["result"]["candidates"]
        assert candidates["usage"]["candidates"] == 10
        assert candidates["used"] == 4
        assert candidates["usage"]["refused"]


def test_an_overfitted_victim_leaks_its_posteriors(first: tuple[Path, list[dict]]) -> None:
    for audit in first[1]:
        if audit["attack"]["name"] == "mba-m-entropy":
            assert audit["result"]["evaluation"]["auc"]["interval"]["low"] > 0.5


def test_victims_of_the_same_weights_may_have_different_adversaries(
    run_here: Run, first: tuple[Path, list[dict]]
) -> None:
    known = EXPERIMENT["splits"]["shadowed"]
    other = {"name": "baskets", "options": {"count": 400, "features": 60, "classes": 5, "seed": 1}}
    changed = {
        "datasets": {"baskets": EXPERIMENT["datasets"]["baskets"], "other": other},
        "splits": {"known": known, "unknown": {**known, "auxiliary": "other"}},
        "victims": [{**EXPERIMENT["victims"][0], "name": name, "split": name} for name in ("known", "unknown")],
        "attacks": [EXPERIMENT["attacks"][0], "mba-m-entropy"],
        "pairs": False,
    }
    folder, _ = first
    before = twins(folder)
    audits = run(run_here, folder, {**EXPERIMENT, **changed, "name": "adversaries"}, "--seed", "0", part="seed-0")
    assert {(one["victim"]["name"], one["attack"]["name"], one["attack"]["fitted_on"]) for one in audits} == {
        (name, attack, f"shadow of {name}") for name in ("known", "unknown") for attack in ("seqmia", "mba-m-entropy")
    }
    assert [one["queries"]["sent"] for one in audits if one["attack"]["name"] == "seqmia"] == [460, 460]
    # The victim's and one shadow's are there; the other data set's shadow leaves room for a placebo.
    assert len(twins(folder) - before) == 2


def test_added_references_leave_the_others_and_everything_else_alone(
    run_here: Run, first: tuple[Path, list[dict]]
) -> None:
    folder, audits = first
    kept, references = made(folder, "victims", "signals", "distillations", "cells"), made(folder, "references")
    more = copy.deepcopy(EXPERIMENT)
    more["attacks"][1]["options"]["references"]["count"] = 6
    again = run(run_here, folder, more)
    now = made(folder, "victims", "signals", "distillations", "cells")
    assert {path: now.get(path) for path in kept if ".sqlite" not in path} == {
        path: time for path, time in kept.items() if ".sqlite" not in path
    }
    after = made(folder, "references")
    assert {path: after[path] for path in references} == references
    assert len(after) - len(references) == 2 * 2  # two more of each of the two victims' kinds
    assert len(again) == len(audits)
    others = [
        [one["result"]["evaluation"] for one in found if one["attack"]["name"] != "lira"] for found in (audits, again)
    ]
    assert others[0] == others[1]
