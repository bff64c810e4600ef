"""promtool on the rules of the manifests."""

import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

MONITORING = Path(__file__).resolve().parent.parent / "deploy" / "k8s" / "components" / "monitoring"
Rule = dict[str, Any]


def promtool() -> str:
    """Where promtool is; a test that needs it fails without."""
    beside = Path(sys.executable).with_name("promtool")
    found = str(beside) if beside.exists() else shutil.which("promtool")
    if found is None:
        pytest.fail("The alerts are tested with promtool, which is not here: make promtool puts it into .venv.")
    return found


def alerts() -> dict[str, Rule]:
    """The alerts of the manifests, by name."""
    content = yaml.safe_load((MONITORING / "alerts.yaml").read_text(encoding="utf-8"))
    rules = [rule for group in content["spec"]["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    return {rule["alert"]: rule for rule in rules}


def tested(folder: Path, rules: Iterable[Rule], tests: list[Mapping[str, Any]]) -> subprocess.CompletedProcess[str]:
    """`promtool test rules` on these rules, a minute between two evaluations."""
    groups = {"groups": [{"name": "tested", "rules": list(rules)}]}
    (folder / "rules.yaml").write_text(yaml.safe_dump(groups), encoding="utf-8")
    content = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}
    (folder / "tests.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    command = [promtool(), "test", "rules", folder / "tests.yaml"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)
