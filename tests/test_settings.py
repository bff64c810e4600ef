"""The settings of one experiment: knowledge, queries, shadow encoders, tiles, and the control on treatment."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("cluster")]
PIXELS = {"patch_size": 8, "embed_dim": 32, "depth": 1, "heads": 2, "decoder_dim": 16, "decoder_heads": 2}
NARROW = {"architecture_options": {"width": 8}}
LOGISTIC = {"inference": "logistic"}
EXPERIMENT: dict[str, Any] = {
    "name": "settings",
    "datasets": {"one": {"name": "composites", "options": {"count": 200}}, "other": {"name": "digits"}},
    "splits": {
        "one": {"dataset": "one", "members": 60, "non_members": 80},
        "other": {"dataset": "other", "members": 60, "non_members": 80},
    },
    "victims": [
        {"name": "mae-one", "recipe": "mae", "split": "one", "epochs": 2, "options": PIXELS},
        {"name": "mae-other", "recipe": "mae", "split": "other", "epochs": 2, "options": PIXELS},
        {"name": "supervised", "recipe": "supervised", "split": "one", "epochs": 1, "options": NARROW},
    ],
    "attacks": [
        {"name": "partcrop", "options": {"crops": 8}} | LOGISTIC,
        {"name": "partcrop", "label": "pooled only", "options": {"crops": 8, "feature_map": "tiles", "tile_grid": 2}}
        | LOGISTIC,
        {"name": "encodermi", "label": "known", "options": {"augmentation": "victim"}} | LOGISTIC,
    ],
    "sweeps": {"knowledge": [0.25, 0.5], "queries": [5, 9, 10]},
    "shadow": True,
    "workers": 1,
    "as_published_transforms": ["mae-one"],
    "published": [
        {"source": "a paper", "victim": "mae-one", "attack": "partcrop", "metrics": {"accuracy": 0.58}},
        {
            "source": "a paper",
            "victim": "mae-one",
            "attack": "partcrop",
            "shadow": "mae-other",
            "metrics": {"accuracy": 0.55},
        },
    ],
    "scales": {"small": {}, "large": {"victims": [{"name": "*", "epochs": 1600}]}},
}
Command = Callable[..., Any]


def run(latentprint: Command, folder: Path) -> dict[str, Any]:
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT, sort_keys=False))
    outcome = latentprint("run", path, "--root", folder / "runs")
    assert outcome.code == 0, outcome.err
    report = Path(outcome.out.strip().splitlines()[-1])
    assert report.parent.name == "settings-small"
    findings: dict[str, Any] = json.loads(report.with_name("findings.json").read_text())
    return findings | {"page": report.read_text()}


def test_one_file_gives_every_setting_and_a_second_run_asks_nothing(latentprint: Command, tmp_path: Path) -> None:
    first = run(latentprint, tmp_path)
    audits = {(a["victim"]["name"], a["attack"]["name"], a["attack"]["fitted_on"]): a for a in first["audits"]}
    attacks = ("partcrop", "pooled only", "known")
    partial = {(victim, attack, "") for victim in ("mae-one", "mae-other", "supervised") for attack in attacks}
    by_shadow = {("mae-one", attack, "mae-other") for attack in attacks}
    by_shadow |= {("mae-other", attack, "mae-one") for attack in attacks}
    assert set(audits) == partial | by_shadow

    sweeps = {sweep["name"]: sweep["points"] for sweep in audits["mae-one", "partcrop", ""]["result"]["sweeps"]}
    assert [point["x"] for point in sweeps["knowledge"]] == [0.25, 0.5]
    assert [point["x"] for point in sweeps["queries"]] == [5, 9]
    known = audits["mae-one", "known", ""]["result"]["sweeps"]
    assert [point["x"] for point in known[1]["points"]] == [5, 9, 10]
    for key, audit in audits.items():
        whole = audit["result"]["evaluation"]["auc"]["value"]
        ends = [s["points"][-1]["auc"]["value"] for s in audit["result"]["sweeps"] if s["name"] == "knowledge"]
        assert ends == ([] if key in by_shadow else [pytest.approx(whole)])
        claimed = audit["verdict"]["label"].startswith("leak")
        assert (audit["result"]["discoveries"] is not None) == (claimed and key not in by_shadow)
        controls = {control["name"] for control in audit["controls"]}
        placebo = {"placebo encoder"} if key[0] == "mae-other" else set()  # of "one" too few samples are left
        assert controls == {"untrained encoder", "exchanged non-members"} | placebo

    treated = {
        (audit["attack"]["name"], item["trained"]) for audit in first["audits"] for item in audit["result"]["artefacts"]
    }
    assert treated == {(attack, trained) for attack in attacks for trained in (True, False)}
    for text in ("Shadow setting", "a paper", "mae-other", "as published"):
        assert text.lower() in first["page"].lower()

    assert run(latentprint, tmp_path)["audits"] == first["audits"]


def test_a_scale_that_the_file_lacks_is_named_with_the_nearest(latentprint: Command, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(yaml.safe_dump(EXPERIMENT, sort_keys=False))
    outcome = latentprint("run", path, "--scale", "smal", "--root", tmp_path / "runs")
    assert outcome.code == 2
    assert "Did you mean 'small'" in outcome.err
