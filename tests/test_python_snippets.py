"""The README's Python and the notebook of docs/ run as they stand there."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def _run(code: str, folder: Path) -> str:
    environment = os.environ | {"MPLBACKEND": "Agg"}
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_the_readmes_python_runs_as_pasted(tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## From Python")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    said = _run(code, tmp_path)
    assert said.strip().endswith(".")
    assert (tmp_path / "report.html").exists()
    assert json.loads((tmp_path / "findings.json").read_text())["audits"]


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path) -> None:
    notebook = json.loads((ROOT / "docs" / "audit.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    said = _run("\n".join(cells), tmp_path)
    assert "leak found" in said
    assert (tmp_path / "report.html").exists()
