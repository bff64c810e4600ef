"""A digest of the code that computes a thing, found by following names: what is kept was computed by this code.

From the functions and classes that compute (the entry points), every name that they use is followed to the function,
class or value that it is bound to, and from there on, through all modules of the entry points' own packages and of
`latentprint`; imports inside functions, annotations and packages that only pass a name on are followed alike. So the
unit is a definition at the top of a module, not the module: what stands beside it in the same file does not count.

Not part of the digest, because nothing that is computed depends on it:

- comments, docstrings and layout: syntax trees are compared;
- registrations: a call or a decorator that is given `summary=` is an entry in a list that people choose from. Its
  words are prose, and the other entries are other things: give the chosen entry as an entry point of its own;
- other libraries.

What a name cannot show is not found: a method of an object whose class no followed definition names (give its class),
a name put together at run time, an import that is there for its side effects alone.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache

from latentprint.core.digests import digest_json
from latentprint.core.errors import UsageError
from latentprint.core.module_trees import (
    EFFECTS,
    WHOLE,
    Definition,
    Module,
    Named,
    imported,
    is_defined,
    names_used,
    read_module,
    source_of,
)

_HOUSE = "latentprint"


def code_digest(*entries: object) -> str:
    """SHA-256 (hex) of the code that `entries` compute with, as it was when this process first asked.

    Args:
        entries: functions and classes, or such as text ("package.module:name"); modules as text ("package.module").

    Raises:
        UsageError: an entry that was not read from a file, such as a class typed into an interactive session, or that
            its module does not define.
    """
    return _digest(frozenset(map(_entry, entries)))


def followed(*entries: object) -> frozenset[str]:
    """The definitions that `code_digest` covers, as "package.module:name". Arguments and errors as there."""
    reached = _reached(frozenset(map(_entry, entries)))
    return frozenset(f"{module}:{name}" for module, name in reached)


@cache
def _digest(entries: frozenset[Definition]) -> str:
    return digest_json(sorted([*one, *_read(one)] for one in _reached(entries)))


def _reached(entries: frozenset[Definition]) -> set[Definition]:
    roots = frozenset({_HOUSE, *(module.partition(".")[0] for module, _ in entries)})
    found: set[Definition] = set()
    waiting = set(entries)
    while waiting:
        one = waiting.pop()
        found.add(one)
        waiting |= _next(one, roots) - found
    return found


@cache
def _next(definition: Definition, roots: frozenset[str]) -> frozenset[Definition]:
    """The definitions that one names, in the packages `roots`."""
    named = _read(definition)[1]
    return frozenset(_along(*name) for name in named if name[0].partition(".")[0] in roots)


def _entry(entry: object) -> Definition:
    if isinstance(entry, str):
        module, _, name = entry.partition(":")
    else:
        module, name = str(getattr(entry, "__module__", "")), str(getattr(entry, "__qualname__", ""))
    if source_of(module) is None:
        raise UsageError(
            f"{entry!r} has no source file, so that nothing tells when its code changes and what was computed with it "
            "is out of date: define it at the top of a module."
        )
    name = name.partition(".")[0]
    if name and not is_defined(module, name):
        raise UsageError(f"The module {module} defines no {name!r}: name a function or class at its top.")
    return module, name or WHOLE


def _read(definition: Definition) -> tuple[str, list[Named]]:
    """SHA-256 (hex) of a definition's own statements, and what they name."""
    module = read_module(definition[0])
    return ("", []) if module is None else read_within(module, definition[1])


@cache
def read_within(module: Module, wanted: str) -> tuple[str, list[Named]]:
    """SHA-256 (hex) of the statements of a definition in `module`, and what they name."""
    if wanted == WHOLE:
        return "", [(module.name, one, ()) for one in (*module.definitions, *module.imports, EFFECTS)]
    statements = module.effects if wanted == EFFECTS else module.definitions.get(wanted)
    if statements is None:
        return "", _passed_on(module, wanted)
    state = hashlib.sha256()
    named: set[Named] = set()
    for statement in statements:
        state.update(ast.dump(statement).encode())
        named.update(_named(statement, module))
    if wanted != EFFECTS:  # importing a module runs it, and the packages around it
        parts = module.name.split(".")
        named |= {(".".join(parts[:end]), EFFECTS, ()) for end in range(1, len(parts) + 1)}
    return state.hexdigest(), sorted(named)


def _passed_on(module: Module, wanted: str) -> list[Named]:
    """What a name that a module does not define stands for there."""
    if wanted in module.imports:
        return [(*module.imports[wanted], ())]
    return [(star, wanted, ()) for star in module.stars]


def _named(statement: ast.stmt, module: Module) -> Iterator[Named]:
    """What a statement names, in functions and annotations too."""
    local = {
        name: target
        for node in ast.walk(statement)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name, target in imported(node, module.package).items()
    }
    known = {**module.imports, **local}
    for base, attributes in names_used(statement):
        if base in known:
            yield *known[base], attributes
        elif base in module.definitions:
            yield module.name, base, ()
        else:
            yield from ((star, base, ()) for star in module.stars)


@cache
def _along(module: str, name: str, attributes: tuple[str, ...]) -> Definition:
    """The definition that `name.attribute.attribute` of a module is, or lies in."""
    waiting = list(attributes)
    if name not in (WHOLE, EFFECTS) and not is_defined(module, name) and source_of(f"{module}.{name}") is not None:
        module, name = f"{module}.{name}", WHOLE
    while name == WHOLE and waiting:
        step = waiting.pop(0)
        inner = not is_defined(module, step) and source_of(f"{module}.{step}") is not None
        module, name = (f"{module}.{step}", WHOLE) if inner else (module, step)
    return module, name
