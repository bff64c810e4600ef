"""torch, what is built for it, and the GPU it can use: as installed, or by loading them, which takes seconds."""

import runpy
import shutil
import subprocess
from importlib import import_module
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from latentprint.core.commands.doctor.check import Check
from latentprint.core.commands.doctor.packages import installed, mismatch

_GIB = 2**30
_PACKAGES = ("torch", "torchvision", "timm")
_SET_UP = "run make setup"
_NO_GPU = Check("gpu", "ok", "none: everything runs on the CPU, only slower")
_ASK = ("--query-gpu=name,memory.total", "--format=csv,noheader")
_SECONDS = 10


def checks(*, load: bool) -> list[Check]:
    """Whether torch and what is built for it are usable, and with which GPU; where `load`, by importing them."""
    problem = import_problem if load else installed_problem
    broken = [found for name in _PACKAGES if (found := problem(name))]
    if broken:
        return [Check("torch", "fail", "; ".join(broken), _SET_UP)]
    return [torch_version(), loaded_gpu() if load else listed_gpu()]


def torch_version() -> Check:
    """The installed torch and what it is built for."""
    build = _build()
    return Check("torch", "ok", f"{build['__version__']} ({_platform(build)})")


def installed_problem(name: str) -> str:
    """What is wrong with the installed distribution `name`: it is missing, or made for another torch; empty if well."""
    if installed(name) is None or find_spec(name) is None:
        return f"{name} is not installed"
    asked = [Requirement(line) for line in requires(name) or []]
    applying = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    return "; ".join(f"{name}: {bad}" for one in applying if one.name in _PACKAGES and (bad := mismatch(one)))


def import_problem(module: str) -> str:
    """Why `module` cannot be imported, e.g. one made for another torch; empty where it can."""
    try:
        import_module(module)
    except (ImportError, OSError, RuntimeError) as error:
        return f"{module} cannot be imported ({' '.join(str(error).split())})"
    return ""


def listed_gpu() -> Check:
    """GPUs that the driver lists and that torch is built for. Whether torch can use them, loading it would tell."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return _NO_GPU
    build = _build()
    listed = _listed(tool)
    if not listed or build["cuda"] is None:
        return _unusable(str(build["__version__"]))
    return Check("gpu", "ok", f"{'; '.join(listed)} ({_platform(build)}; --load asks torch)")


def loaded_gpu() -> Check:
    """GPUs that torch can use."""
    torch = import_module("torch")
    if torch.cuda.is_available():
        devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
        found = "; ".join(f"{device.name}, {device.total_memory / _GIB:.0f} GiB" for device in devices)
        return Check("gpu", "ok", f"{found} (CUDA {torch.version.cuda})")
    return _unusable(torch.__version__) if shutil.which("nvidia-smi") else _NO_GPU


def _unusable(version: str) -> Check:
    found = f"there is one that torch {version} cannot use"
    return Check("gpu", "warn", found, "update the NVIDIA driver, or install a torch build that suits it")


def _listed(tool: str) -> list[str]:
    """Name and memory of each GPU, as the driver's tool prints them; none where the driver does not answer."""
    try:
        answer = subprocess.run([tool, *_ASK], capture_output=True, text=True, check=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def _build() -> dict[str, Any]:
    """What torch says of its own build, read without importing torch."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return {"__version__": "", "cuda": None}
    return runpy.run_path(str(Path(spec.origin).with_name("version.py")))


def _platform(build: dict[str, Any]) -> str:
    return f"CUDA {build['cuda']}" if build["cuda"] else "for the CPU"
