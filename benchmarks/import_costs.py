"""CPU seconds until a command can begin, and until a worker has imported what it works with, against torch's import.

CPU time (user and system) of a process of its own, so that other load on the machine counts little; as a ratio to
`import torch` in the same rounds, so that a slower machine is held to the same.
"""

import resource
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

ROUNDS = 3
COMMAND, WORKER = 0.67, 2.3  # 1 s and 3.5 s where torch takes 1.5 s
COMMANDS = ("--help", "list attacks", "list datasets", "list recipes", "list defences", "doctor")
WORKERS = {
    "server": "latentprint.encoder_server.lifecycle, latentprint.encoder_server.victims",
    "extraction_worker": "latentprint.attack_engine.asking.worker, latentprint.attack_engine.attacks.attack",
    "fitting_worker": "latentprint.attack_engine.runs.fitting",
    "trainer": "latentprint.trainer.training",
    "run": "latentprint.attack_engine.runs.config, latentprint.attack_engine.runs.experiment",
}


def main() -> None:
    """Print a ratio for every command and worker."""
    latentprint = shutil.which("latentprint", path=str(Path(sys.executable).parent)) or "latentprint"
    starts = {f"start_{text.strip('-').replace(' ', '_')}": [latentprint, *text.split()] for text in COMMANDS}
    imports = {f"imports_{name}": [sys.executable, "-c", f"import {text}"] for name, text in WORKERS.items()}
    asked = {"torch": [sys.executable, "-c", "import torch"], **starts, **imports}
    measured: dict[str, list[float]] = {name: [] for name in asked}
    for _ in range(ROUNDS):
        for name, command in asked.items():
            measured[name].append(cpu_seconds(command))
    cost = {name: statistics.median(values) for name, values in measured.items()}
    for name, seconds in cost.items():
        print(f"{name}: {seconds:.2f} s of CPU")
    for name in (*starts, *imports):
        print(f"ratio {name} {cost[name] / cost['torch']:.2f} (target <= {COMMAND if name in starts else WORKER})")


def cpu_seconds(command: list[str]) -> float:
    """User and system seconds of a command that runs to its end, its own children's included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


if __name__ == "__main__":
    main()
