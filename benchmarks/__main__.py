"""Every ratio that the project holds itself to, measured here and now: `make bench`.

Each benchmark runs in a process of its own and prints lines `ratio NAME VALUE (target >= BOUND)` (or `<=`).
The lines are gathered at the end; the exit code is 1 when one misses its target or a benchmark fails.
"""

import operator
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LINE = re.compile(r"ratio (?P<name>\S+) (?P<value>\S+) \(target (?P<sign>>=|<=) (?P<bound>\S+)\)")
COMPARE = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True)
class Ratio:
    """One measured ratio and the bound it is held to."""

    line: str
    met: bool


def parse(output: str) -> list[Ratio]:
    """The ratios among the lines of a benchmark's output. Raises `ValueError` for a value that is no number."""
    matches = [match for line in output.splitlines() if (match := LINE.fullmatch(line.strip()))]
    return [Ratio(one[0], COMPARE[one["sign"]](float(one["value"]), float(one["bound"]))) for one in matches]


def measure(file: Path) -> list[Ratio]:
    """Run one benchmark, its output shown as it comes; a failure, or no ratio at all, is a target missed."""
    print(f"== {file.stem}", flush=True)
    lines: list[str] = []
    command = [sys.executable, "-u", "-m", f"{FOLDER.name}.{file.stem}"]
    with subprocess.Popen(command, cwd=FOLDER.parent, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line)
    ratios = parse("".join(lines))
    if process.returncode or not ratios:
        ratios.append(Ratio(f"{file.stem} ended with exit code {process.returncode} and {len(ratios)} ratios", False))
    return ratios


def main() -> None:
    """Run the benchmarks named as arguments, or all, and sum up."""
    chosen = sys.argv[1:] or sorted(file.stem for file in FOLDER.glob("[!_]*.py"))
    ratios = [ratio for name in chosen for ratio in measure(FOLDER / f"{name}.py")]
    print("\n== all ratios")
    for ratio in ratios:
        print(f"{'met   ' if ratio.met else 'MISSED'}  {ratio.line}")
    sys.exit(0 if all(ratio.met for ratio in ratios) else 1)


if __name__ == "__main__":
    main()
