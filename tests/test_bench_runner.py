import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

GOOD = "print('warming up')\nprint('ratio speed 5.2 (target >= 5)')\nprint('ratio cost 1.4 (target <= 1.4)')"
BENCHMARKS = {
    "good": (GOOD, 0, ["met     ratio speed 5.2 (target >= 5)", "met     ratio cost 1.4 (target <= 1.4)"]),
    "slow": ("print('ratio speed 4.99 (target >= 5)')", 1, ["MISSED  ratio speed 4.99 (target >= 5)"]),
    "nan": ("print('ratio speed nan (target >= 5)')", 1, ["MISSED  ratio speed nan (target >= 5)"]),
    "dies": (f"{GOOD}\nraise SystemExit(3)", 1, ["MISSED  dies ended with exit code 3 and 2 ratios"]),
    "silent": ("print('ratio of a kind')", 1, ["MISSED  silent ended with exit code 0 and 0 ratios"]),
}


def bench(folder, *names):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *names], cwd=folder, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    for name in ("__init__", "__main__"):
        shutil.copy(ROOT / "benchmarks" / f"{name}.py", tmp_path / "benchmarks")
    for name, (text, _, _) in BENCHMARKS.items():
        (tmp_path / "benchmarks" / f"{name}.py").write_text(text + "\n")
    return tmp_path


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_missed_target_a_crash_and_silence_fail(name, folder):
    _, code, lines = BENCHMARKS[name]
    result = bench(folder, name)
    assert result.returncode == code, result.stdout + result.stderr
    summary = result.stdout.split("== all ratios\n")[1].splitlines()
    assert summary[-len(lines) :] == lines


def test_without_a_name_every_benchmark_runs(folder):
    result = bench(folder)
    assert result.returncode == 1
    assert [line for line in result.stdout.splitlines() if line.startswith("== ")] == [
        *(f"== {name}" for name in sorted(BENCHMARKS)),
        "== all ratios",
    ]
