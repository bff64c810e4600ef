"""What PromQL expressions read, against what services export."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import promql_parser as promql
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

TARGET = frozenset({"namespace", "pod", "container", "job", "instance", "endpoint"})  # that Prometheus adds
Exported = Mapping[str, frozenset[str]]


class WrongExpression(Exception):
    """An expression that reads what nobody exports, or that is none."""


def samples(text: str) -> list[Sample]:
    """The samples of a page of metrics."""
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def exported(pages: Iterable[str]) -> dict[str, frozenset[str]]:
    """The labels of each name that the pages hold, with those of the target."""
    found: dict[str, frozenset[str]] = {}
    for sample in (one for page in pages for one in samples(page)):
        found[sample.name] = found.get(sample.name, TARGET) | sample.labels.keys()
    return found


def result_labels(expression: str, known: Exported) -> frozenset[str]:
    """The labels of an expression's result. Raises `WrongExpression` for a name or a label that is not exported."""
    try:
        parsed = promql.parse(expression)
    except ValueError as error:
        raise WrongExpression(f"{expression}: {error}") from None
    return _labels(parsed, known)


def legend_labels(legend: str) -> frozenset[str]:
    """The labels that a panel's legend shows."""
    return frozenset(re.findall(r"{{\s*(\w+)\s*}}", legend))


def _labels(node: Any, known: Exported) -> frozenset[str]:
    if isinstance(node, promql.NumberLiteral | promql.StringLiteral):
        return frozenset()
    if isinstance(node, promql.VectorSelector):
        return _selected(node, known)
    if isinstance(node, promql.MatrixSelector):
        return _selected(node.vector_selector, known)
    if isinstance(node, promql.Call):
        return _called(node, known)
    if isinstance(node, promql.AggregateExpr):
        return _grouped(node, known)
    if isinstance(node, promql.BinaryExpr):
        return _matched(node, known)
    return _labels(node.expr, known)  # in brackets, negated, or a subquery


def _selected(node: Any, known: Exported) -> frozenset[str]:
    if node.name not in known:
        raise WrongExpression(f"nobody exports {node.name}")
    return _have(known[node.name], (matcher.name for matcher in node.matchers.matchers), node)


def _called(node: Any, known: Exported) -> frozenset[str]:
    of = frozenset[str]().union(*(_labels(argument, known) for argument in node.args))
    if node.func.name == "histogram_quantile":
        return _have(of, ["le"], node) - {"le"}
    return frozenset() if node.func.name == "absent" else of


def _grouped(node: Any, known: Exported) -> frozenset[str]:
    inner = _labels(node.expr, known)
    if node.modifier is None:
        return frozenset()
    own = _have(inner, node.modifier.labels, node)
    named = frozenset(node.modifier.labels)
    return named if node.modifier.type == promql.AggModifierType.By else own - named


def _matched(node: Any, known: Exported) -> frozenset[str]:
    left, right = _labels(node.lhs, known), _labels(node.rhs, known)
    matching = node.modifier.matching if node.modifier is not None else None
    if matching is not None:
        _have(left, matching.labels, node)
        _have(right, matching.labels, node)
    return left or right


def _have(there: frozenset[str], wanted: Iterable[str], node: Any) -> frozenset[str]:
    missing = set(wanted) - there
    if missing:
        raise WrongExpression(f"{node} has no label {', '.join(sorted(missing))}")
    return there
