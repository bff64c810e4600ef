"""The alerts: each fires when it should, stays silent when it should, and leads to what to do."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
CASES = yaml.safe_load((Path(__file__).with_name("data") / "alerts.yaml").read_text(encoding="utf-8"))
PAGE = "docs/operate.md"
PROMTOOL = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("promtool.py"))))
RULES = PROMTOOL.alerts()


def unit_test(name: str, case: dict[str, Any]) -> dict[str, Any]:
    """A case as promtool takes it: an alert that fires has all its labels and annotations."""
    rule, expected = RULES[name], []
    if "fires" in case:
        annotations = {**rule["annotations"], "summary": case["summary"]}
        expected = [{"exp_labels": {**rule["labels"], **case["fires"]}, "exp_annotations": annotations}]
    series = [{"series": one, "values": str(values)} for one, values in case["series"].items()]
    check = {"eval_time": case["at"], "alertname": name, "exp_alerts": expected}
    return {"name": name, "interval": "1m", "input_series": series, "alert_rule_test": [check]}


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    assert CASES.keys() == RULES.keys()
    for name, cases in CASES.items():
        assert {"fires" in case for case in cases} == {True, False}, name


def test_alerts_fire_when_they_should_and_not_otherwise(tmp_path: Path) -> None:
    ended = PROMTOOL.tested(
        tmp_path, RULES.values(), [unit_test(name, case) for name, cases in CASES.items() for case in cases]
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    "change", [("> 3", "> 30"), ("0.9", "0.05"), ("latentprint_queue_seconds", "latentprint_queue")]
)
def test_an_alert_that_was_broken_is_noticed(tmp_path: Path, change: tuple[str, str]) -> None:
    name = "EncoderServerQueueWaitHigh"
    broken = RULES[name] | {"expr": RULES[name]["expr"].replace(*change)}
    ended = PROMTOOL.tested(tmp_path, [broken], [unit_test(name, case) for case in CASES[name]])
    assert ended.returncode != 0


def test_every_alert_leads_to_its_own_paragraph() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / PAGE).read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
    for name, rule in RULES.items():
        place, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert place.endswith(f"/blob/main/{PAGE}")
        assert anchor == name.lower()
        assert anchor in anchors
        assert rule["labels"]["severity"] in ("critical", "warning")
