"""The commands of docs/operate.md: every kubectl line is one that kubectl takes, up to where it needs a cluster."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOWHERE = ["--server", "http://127.0.0.1:9", "--request-timeout", "1s"]


def kubectl_lines(page: str) -> list[list[str]]:
    """The arguments of every call of kubectl in a page's shell blocks and running text."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", page, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    calls = [call.strip() for line in lines for call in line.split("#")[0].split("|")]
    calls += re.findall(r"`(kubectl [^`]* -?[^`]*)`", page)
    return [shlex.split(call)[1:] for call in dict.fromkeys(calls) if call.startswith("kubectl ")]


CALLS = kubectl_lines((ROOT / "docs" / "operate.md").read_text(encoding="utf-8"))


def called(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    own = [argument.replace("overlays/mine", "overlays/local") for argument in arguments]
    own = [str(ROOT / argument) if argument.startswith("deploy/") else argument for argument in own]
    (folder / "keys").write_text("key")
    command = [Path(sys.executable).with_name("kubectl"), *own, *NOWHERE]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=folder, stdin=subprocess.DEVNULL)


def test_there_are_calls_to_try() -> None:
    assert len(CALLS) >= 10


@pytest.mark.parametrize("arguments", CALLS, ids=" ".join)
def test_kubectl_takes_the_call(arguments: list[str], tmp_path: Path) -> None:
    ended = called(arguments, tmp_path)
    reached = "127.0.0.1:9" in ended.stderr
    nothing_to_apply = "-f" in arguments and "no objects passed" in ended.stderr
    assert ended.returncode == 0 or reached or nothing_to_apply, ended.stderr
    assert "unknown" not in ended.stderr


@pytest.mark.parametrize("wrong", [["get", "pods", "--selektor", "a=b"], ["rollout", "redo", "deployment/x"]])
def test_a_call_that_kubectl_does_not_take_is_noticed(wrong: list[str], tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        test_kubectl_takes_the_call(wrong, tmp_path)
