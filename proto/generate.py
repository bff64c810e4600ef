"""Generate the protocol's Python code. Run with a Python that has grpcio-tools 1.81.1: `generate.py [--check]`.

With `--check` nothing is written and the exit code is 1 when the checked-in code is not what would be generated.
"""

import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent
TARGET = ROOT.parent / "libs" / "core" / "src"
PROTO = "latentprint/core/oip/inference.proto"
GENERATED = ("latentprint/core/oip/inference_pb2.py", "latentprint/core/oip/inference_pb2.pyi")


def generate(folder: Path) -> None:
    """Write the generated modules below `folder`."""
    arguments = ["protoc", f"-I{ROOT}", f"--python_out={folder}", f"--pyi_out={folder}", PROTO]
    if protoc.main(arguments) != 0:
        sys.exit(f"protoc failed on {PROTO}")


def stale() -> list[str]:
    """Checked-in modules that differ from what would be generated now."""
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name)
        generate(fresh)
        return [path for path in GENERATED if not _same(fresh / path, TARGET / path)]


def _same(fresh: Path, checked_in: Path) -> bool:
    return checked_in.is_file() and fresh.read_bytes() == checked_in.read_bytes()


def main() -> None:
    """Generate, or with `--check` say whether the checked-in code is current."""
    if sys.argv[1:] == ["--check"]:
        behind = stale()
        if behind:
            sys.exit(f"Generated code is stale: {', '.join(behind)}. Run `make proto`.")
        return
    if sys.argv[1:]:
        sys.exit("usage: generate.py [--check]")
    generate(TARGET)


if __name__ == "__main__":
    main()
