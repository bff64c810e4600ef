"""Queries an endpoint, attacks it, evaluates, and reports.

The public API: `audit` audits a model, a function or an endpoint from Python, and gives an `AuditResult`. Names are
loaded at first use: a command that audits nothing does not wait for torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentprint.attack_engine.api import audit
    from latentprint.attack_engine.result import AuditResult

__all__ = ["AuditResult", "audit"]

_HOMES = {"AuditResult": "result", "audit": "api"}


def __getattr__(name: str) -> Any:
    """Load a public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
