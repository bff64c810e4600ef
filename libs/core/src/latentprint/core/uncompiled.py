"""torch and timm without torch's compiler, which is 1.6 s of CPU at the start of a process that never compiles."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

_COMPILER, _ASKED, _OPTIMISERS = "torch._dynamo", "torch._dynamo.utils", "torch.optim"


def leave_compiler_out() -> None:
    """Have this process load torch's compiler only where something asks for the compiler itself.

    For processes of ours alone, which compile nothing. Three places load it with themselves: torchvision's RoI align,
    to ask later on whether it can compile for a device; timm's NaFlexViT, to keep parts of itself from being compiled;
    and every optimiser, to keep its methods from being compiled and to mark where a step begins and ends. Here each
    gets what holds in a process in which nothing is compiled, as it is imported; whoever imports the compiler
    afterwards gets the real one. A release of theirs that does it in another way loads the compiler as before.
    """
    if _COMPILER in sys.modules or any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    if _OPTIMISERS in sys.modules:
        _spare_optimisers(sys.modules[_OPTIMISERS])
    sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the packages that load the compiler where they are, and has them loaded without it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where `fullname` lies, if it is one of them."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname in _AROUND else None
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader)
        return spec


class _Loader(Loader):
    """Loads a package as its own loader does, with something around it."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As its own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As its own loader does, which is the package's loader again from here on."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        with _AROUND[module.__name__](module):
            self._loader.exec_module(module)


@contextmanager
def _answered(module: ModuleType) -> Iterator[None]:
    """While timm or torchvision is imported: the answers that it would ask the compiler for."""
    del module
    if _COMPILER in sys.modules:
        yield
        return
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
        sys.modules.pop(_ASKED, None)  # one of the two imports the other


def _is_compile_supported(device: str) -> bool:
    del device
    return False


def _disable(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


@contextmanager
def _then_spared(module: ModuleType) -> Iterator[None]:
    yield
    _spare_optimisers(module)


def _spare_optimisers(optimisers: ModuleType) -> None:
    """Mark as left out already what leaves itself out at its first call, and take the compiler's marks off steps."""
    for method in vars(optimisers.Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None and _names(method) >= {"__dynamo_disable"}:
            vars(plain).setdefault("__dynamo_disable", plain)
    for kind in vars(optimisers).values():
        step = vars(kind).get("step") if isinstance(kind, type) else None
        if step is not None and _names(step) >= {"_dynamo", "graph_break", "set_grad_enabled"}:
            kind.step = _unmarked(step.__wrapped__)


def _names(function: Any) -> set[str]:
    """What a function's own code names: attributes, globals and texts."""
    code = getattr(function, "__code__", None)
    return set() if code is None else {*code.co_names, *(text for text in code.co_consts if isinstance(text, str))}


def _unmarked(step: Callable[..., Any]) -> Callable[..., Any]:
    """An optimiser's step as torch calls it, but for the marks."""

    @wraps(step)
    def called(self: Any, *arguments: Any, **options: Any) -> Any:
        import torch

        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *arguments, **options)

    return called


_AROUND: Mapping[str, Callable[[ModuleType], AbstractContextManager[None]]] = {
    "timm": _answered,
    "torchvision": _answered,
    _OPTIMISERS: _then_spared,
}
