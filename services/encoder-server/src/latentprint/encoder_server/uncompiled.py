"""timm without torch's compiler, which is 1.6 s of CPU at the start of a server that never compiles."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

_COMPILER, _ASKED = "torch._dynamo", "torch._dynamo.utils"


def load_timm() -> None:
    """Import timm, and the compiler only where it is there already.

    Two modules load the compiler with themselves: torchvision's RoI align, to ask later on whether it can compile for
    a device, and timm's NaFlexViT, to keep parts of itself from being compiled. Here both get the answer that holds
    in a process in which nothing is compiled; whoever imports the compiler afterwards gets the real one.
    """
    if _COMPILER in sys.modules or "timm" in sys.modules:
        return
    with _answered():
        import_module("timm")


@contextmanager
def _answered() -> Iterator[None]:
    import torch

    asked = ModuleType(_ASKED)
    vars(asked)["is_compile_supported"] = _is_compile_supported
    real = torch.compiler.disable
    sys.modules[_ASKED] = asked
    vars(torch.compiler)["disable"] = _disable
    try:
        yield
    finally:
        vars(torch.compiler)["disable"] = real
        del sys.modules[_ASKED]


def _is_compile_supported(device: str) -> bool:
    del device
    return False


def _disable(function: Callable[..., Any]) -> Callable[..., Any]:
    return function
