"""Modules as syntax trees: what each defines at its top, imports, and runs; read from its file, never imported."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

EFFECTS, WHOLE = "", "*"
_REGISTERED_BY = "summary"
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")  # where a statement holds others
Definition = tuple[str, str]
"""A module and a name at its top; `EFFECTS` for what it runs when it is imported, `WHOLE` for all of it."""
Named = tuple[str, str, tuple[str, ...]]
"""A definition, or what passes it on, with the attributes that are taken of it."""


@dataclass(eq=False)
class Module:
    """A module's top level; each is itself alone, so that what is read of it can be kept.

    Attributes:
        name: dotted.
        package: what its relative imports start from.
        definitions: name to the statements that bind it, docstrings dropped.
        imports: name to the module and the name there that it stands for; `WHOLE` for the module itself.
        stars: modules of which all names are imported.
        effects: statements that bind no name.
    """

    name: str
    package: str
    definitions: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imports: dict[str, Definition] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    effects: list[ast.stmt] = field(default_factory=list)

    def add(self, statement: ast.stmt) -> None:
        """Sort a statement of the top level in."""
        for node in _outside_functions(statement):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.imports.update(imported(node, self.package))
                self.stars += [target for name, target in _targets(node, self.package) if name == WHOLE]
        names = set(_bound(statement))
        for name in names:
            self.definitions.setdefault(name, []).append(statement)
        if not names and not isinstance(statement, ast.Import | ast.ImportFrom) and not _imports_alone(statement):
            self.effects.append(statement)


@cache
def read_module(name: str) -> Module | None:
    """A module read, not imported; None where it has no source."""
    path = source_of(name)
    if path is None:
        return None
    is_package = path.name == "__init__.py"
    return parsed(name, name if is_package else name.rpartition(".")[0], path.read_bytes())


@cache
def parsed(name: str, package: str, source: bytes) -> Module:
    """The module of a source text; arguments as the attributes of `Module`."""
    module = Module(name, package)
    tree = ast.parse(source)
    _drop_prose(tree)
    for statement in tree.body:
        module.add(statement)
    return module


def _drop_prose(tree: ast.AST) -> None:
    """Take what computes nothing out of a tree's statements: strings that stand alone, and registrations."""
    if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        tree.decorator_list = [one for one in tree.decorator_list if not _registers(one)]
    for place in _BLOCKS:
        block = getattr(tree, place, None)
        if isinstance(block, list):
            block[:] = [one for one in block if not _is_prose(one)]
            for one in block:
                _drop_prose(one)


def _is_prose(statement: ast.AST) -> bool:
    if not isinstance(statement, ast.Expr):
        return False
    value = statement.value
    return _registers(value) or (isinstance(value, ast.Constant) and isinstance(value.value, str))


def _registers(call: ast.expr) -> bool:
    return isinstance(call, ast.Call) and any(keyword.arg == _REGISTERED_BY for keyword in call.keywords)


def is_defined(module: str, name: str) -> bool:
    """Whether a module defines or imports a name at its top."""
    found = read_module(module)
    return found is not None and (name in found.definitions or name in found.imports)


def names_used(tree: ast.AST) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every name that is used, with the attributes that are taken of it: `a.b.c()` gives a, (b, c)."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        attributes: tuple[str, ...] = ()
        while isinstance(node, ast.Attribute):
            attributes = (node.attr, *attributes)
            node = node.value
        if isinstance(node, ast.Name):
            yield node.id, attributes
        waiting += ast.iter_child_nodes(node)
        waiting += _quoted(node)


def _quoted(node: ast.AST) -> Iterator[ast.AST]:
    """Annotations that are written as strings."""
    annotations = [getattr(node, place, None) for place in ("annotation", "returns")]
    for annotation in annotations:
        for inner in ast.walk(annotation) if isinstance(annotation, ast.AST) else ():
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and _is_expression(inner.value):
                yield ast.parse(inner.value, mode="eval")


def _is_expression(text: str) -> bool:
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return False
    return True


def _outside_functions(statement: ast.stmt) -> Iterator[ast.stmt]:
    """A statement and those below it that run when the module is imported."""
    yield statement
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    for node in ast.iter_child_nodes(statement):
        inner = node.body if isinstance(node, ast.ExceptHandler) else [node]
        for one in inner:
            if isinstance(one, ast.stmt):
                yield from _outside_functions(one)


def _bound(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds, but for imports."""
    for node in _outside_functions(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For | ast.With):
            yield from (
                name.id for name in ast.walk(node) if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
            )


def _imports_alone(statement: ast.stmt) -> bool:
    body = [node for node in _outside_functions(statement) if node is not statement]
    return bool(body) and all(isinstance(node, ast.Import | ast.ImportFrom) for node in body)


def imported(node: ast.Import | ast.ImportFrom, package: str) -> dict[str, Definition]:
    """What an import binds: name to module and the name there."""
    if isinstance(node, ast.Import):
        return {
            one.asname or one.name.partition(".")[0]: (one.name if one.asname else one.name.partition(".")[0], WHOLE)
            for one in node.names
        }
    source = _absolute(node, package)
    return {one.asname or one.name: (source, one.name) for one in node.names if one.name != WHOLE}


def _targets(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.ImportFrom):
        yield from ((one.name, _absolute(node, package)) for one in node.names)


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


@cache
def source_of(name: str) -> Path | None:
    """The file of a module, found without importing it or what surrounds it; None where there is none."""
    loaded = getattr(sys.modules.get(name), "__file__", None)
    if loaded is not None:
        return Path(loaded) if loaded.endswith(".py") else None
    first, *rest = name.split(".")
    for place in _places(first):
        folder = place.joinpath(*rest)
        for path in (folder / "__init__.py", folder.with_name(f"{folder.name}.py")):
            if path.is_file():
                return path
    return None


@cache
def _places(package: str) -> tuple[Path, ...]:
    """The folders of a package of the first level."""
    spec = find_spec(package) if package else None
    return tuple(map(Path, (spec and spec.submodule_search_locations) or ()))
