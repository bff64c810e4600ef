"""What a Prometheus registry holds, as OpenTelemetry's data."""

import os
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import pairwise
from typing import Any
from uuid import uuid4

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

_SCOPE = "latentprint"
_CUMULATIVE = AggregationTemporality.CUMULATIVE
_BUCKET, _CREATED, _BOUND = "_bucket", "_created", "le"


def resource_of(service: str) -> Resource:
    """Who sends: this process, as `service` unless the environment names it otherwise."""
    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": service}
    own = {"service.version": version("latentprint-core"), "service.instance.id": str(uuid4())}
    return Resource.create({**named, **own})


def sent_as(registry: CollectorRegistry, resource: Resource, started: int) -> MetricsData:
    """All that `registry` holds now.

    Args:
        registry: counters, gauges and histograms.
        resource: who sends.
        started: when counting began, nanoseconds since the epoch.
    """
    between = started, time.time_ns()
    metrics = [
        Metric(family.name, family.documentation, "", data)
        for family in registry.collect()
        if (data := _data(family.type, family.samples, between)) is not None
    ]
    scope = ScopeMetrics(InstrumentationScope(_SCOPE, version("latentprint-core")), metrics, "")
    return MetricsData([ResourceMetrics(resource, [scope], "")])


def _data(kind: str, samples: Iterable[Sample], between: tuple[int, int]) -> Sum | Gauge | Histogram | None:
    counted = [sample for sample in samples if not sample.name.endswith(_CREATED)]
    if not counted:
        return None
    if kind == "histogram":
        return Histogram(list(_histograms(counted, between)), _CUMULATIVE)
    points = [NumberDataPoint(dict(sample.labels), *between, float(sample.value)) for sample in counted]
    return Sum(points, _CUMULATIVE, is_monotonic=True) if kind == "counter" else Gauge(points)


def _histograms(samples: Iterable[Sample], between: tuple[int, int]) -> Iterator[HistogramDataPoint]:
    """A point for each set of labels; Prometheus counts what is at most a bound, OpenTelemetry what is between two."""
    by_labels: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for sample in samples:
        key = tuple(sorted((name, value) for name, value in sample.labels.items() if name != _BOUND))
        by_labels.setdefault(key, []).append(sample)
    for labels, own in by_labels.items():
        below = [(float(sample.labels[_BOUND]), int(sample.value)) for sample in own if sample.name.endswith(_BUCKET)]
        counts = [upper - lower for lower, upper in pairwise([0, *(count for _, count in below)])]
        total = next(sample.value for sample in own if sample.name.endswith("_sum"))
        unknown: dict[str, Any] = {"min": None, "max": None}
        yield HistogramDataPoint(
            dict(labels),
            *between,
            count=below[-1][1],
            sum=total,
            bucket_counts=counts,
            explicit_bounds=[bound for bound, _ in below[:-1]],
            **unknown,
        )
