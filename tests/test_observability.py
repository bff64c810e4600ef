"""What a server and an audit tell while they run, scraped for real; and whether dashboards and alerts can read it."""

import io
import json
import re
import runpy
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from rich.console import Console

from latentprint.attack_engine.asking import EndpointSpec
from latentprint.attack_engine.asking.server_process import ServerProcess, starting_server
from latentprint.attack_engine.attacks import AttackChoice
from latentprint.attack_engine.findings.results import Findings
from latentprint.attack_engine.monitoring.monitored import monitored
from latentprint.attack_engine.runs.audit_request import LiveAudit
from latentprint.attack_engine.runs.live import run_audit
from latentprint.attack_engine.runs.samples import samples_of_folders
from latentprint.attack_engine.runs.stored_signals import AskingOptions
from latentprint.attack_engine.scheduling.workers import ThisProcess
from latentprint.core.errors import BudgetError
from latentprint.core.oip import METHODS, to_request

HERE = Path(__file__).parent
PROMQL = SimpleNamespace(**runpy.run_path(str(HERE / "promql.py")))
SCRAPING = SimpleNamespace(**runpy.run_path(str(HERE / "scraping.py")))
PROMTOOL = SimpleNamespace(**runpy.run_path(str(HERE / "promtool.py")))
DASHBOARDS = {path.stem: json.loads(path.read_text()) for path in (PROMTOOL.MONITORING / "dashboards").glob("*.json")}
VARIABLES = {"$__rate_interval": "2m", "$__range": "1h", "$namespace": "latentprint", "$pod": ".*"}
BUDGET = 10_000


@dataclass
class Scraped:
    """The pages that a process showed, by what Prometheus would call its pod."""

    pages: dict[str, list[str]] = field(default_factory=dict)
    findings: Findings | None = None
    sent: list[Any] = field(default_factory=list)  # over OTLP

    @property
    def known(self) -> Mapping[str, frozenset[str]]:
        return PROMQL.exported(page for pages in self.pages.values() for page in (pages[0], pages[-1]))

    def total(self, pod: str, name: str, page: int = -1, **labels: str) -> float:
        """Sum of the samples of this name that have these labels."""
        found = [one for one in PROMQL.samples(self.pages[pod][page]) if one.name == name]
        return sum(one.value for one in found if labels.items() <= one.labels.items())


def ask_wrongly_and_twice(server: ServerProcess) -> None:
    """A question that is refused, and one that is sent again."""
    image = {"images": np.zeros((1, 32, 32, 3), dtype=np.uint8)}
    with grpc.insecure_channel(server.urls[0].split("/")[2]) as channel:
        infer = METHODS["ModelInfer"].call(channel)
        for _ in range(2):
            infer(to_request("victim", image, ["embedding"], request_id="one"), timeout=20)
        with pytest.raises(grpc.RpcError):
            infer(to_request("victim", image, ["no-such-output"]), timeout=20)


@pytest.fixture(scope="module")
def scraped(
    bundle: Path,
    image_folders: tuple[Path, Path],
    otlp_over_http: tuple[str, list[Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Scraped:
    """A server of its own, an audit of it, and one whose budget does not cover what it would ask."""
    url, sent = otlp_over_http
    told, root = Scraped({"server": [], "driver": [], "poor": []}, sent=sent), tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        run_and_scrape(told, bundle, image_folders, root)
    told.pages["ray"] = [(HERE / "data" / "ray-metrics.txt").read_text()] * 2
    return told


def run_and_scrape(told: Scraped, bundle: Path, image_folders: tuple[Path, Path], root: Path) -> None:
    with starting_server({"victim": str(bundle)}, options=("--metrics-port", "0")) as server:
        while not (server.is_ready() and "metrics on" in server.log.read_text()):  # which it says a moment later
            threading.Event().wait(0.05)
        with SCRAPING.scraping(SCRAPING.port_of(server.log.read_text()), told.pages["server"]):
            spec = EndpointSpec(server.urls[0])
            samples = samples_of_folders(*image_folders, spec, candidates=None, side=0, known_fraction=0.5, seed=0)
            attacks = (AttackChoice("supervisedmi", {}).build(0),)

            def audit(pod: str, budget: int) -> None:
                live = LiveAudit("trial", spec, attacks, *samples, "none", 0, AskingOptions(1, budget))
                said = io.StringIO()
                console = Console(file=said, width=200)
                with ExitStack() as reading, monitored("audit", "trial", console, host="127.0.0.1", port=0) as status:
                    reading.enter_context(SCRAPING.scraping(SCRAPING.port_of(said.getvalue()), told.pages[pod]))
                    told.findings = run_audit(
                        live, root / pod, console, workers=ThisProcess(), track=False, status=status
                    ).findings

            audit("driver", BUDGET)
            with pytest.raises(BudgetError):
                audit("poor", 1)
            ask_wrongly_and_twice(server)


def test_what_is_told_of_a_run_is_what_its_findings_say(scraped: Scraped) -> None:
    (finding,) = scraped.findings.audits
    images = "latentprint_engine_images_total"
    for outcome in ("sent", "answered", "cached", "retried"):
        told = scraped.total("driver", images, model="victim", side="victim", outcome=outcome)
        assert told == getattr(finding.queries, outcome), outcome
    assert finding.queries.sent > 0
    left, spent = (scraped.total("driver", f"latentprint_engine_budget_{what}_images") for what in ("left", "spent"))
    assert (spent, left) == (finding.queries.sent, BUDGET - finding.queries.sent)
    assert scraped.total("driver", "latentprint_engine_tasks") == 2
    assert scraped.total("driver", "latentprint_engine_tasks", kind="asking", state="finished") == 1
    assert scraped.total("driver", "latentprint_engine_tasks", kind="fitting", state="finished") == 1
    done, planned = (scraped.total("driver", f"latentprint_engine_{what}_units") for what in ("done", "planned"))
    assert done == planned == finding.queries.sent + 1
    assert scraped.total("driver", "latentprint_engine_errors_total") == 0
    assert scraped.total("driver", "latentprint_engine_run_info", command="audit", run="trial") == 1


def test_the_server_counts_what_the_engine_sent(scraped: Scraped) -> None:
    sent = scraped.total("driver", "latentprint_engine_images_total", outcome="sent")
    answered = scraped.total("server", "latentprint_answered_images_total")
    assert answered - scraped.total("server", "latentprint_answered_images_total", page=0) == sent + 1
    assert scraped.total("server", "latentprint_replayed_images_total") == 1
    assert scraped.total("server", "latentprint_refusals_total", reason="invalid") == 1
    assert scraped.total("server", "latentprint_ready") == 1


def test_the_error_that_ended_a_run_is_told_before_the_run_is_gone(scraped: Scraped) -> None:
    assert scraped.total("poor", "latentprint_engine_errors_total", kind="BudgetError") == 1
    assert scraped.total("poor", "latentprint_engine_errors_total", page=0) == 0


def test_both_send_over_otlp_what_prometheus_reads(scraped: Scraped) -> None:
    last: dict[tuple[str, str], dict[str, Any]] = {}
    for request in scraped.sent:
        (resource,) = request.resource_metrics
        (scope,) = resource.scope_metrics
        names = {one.key: one.value.string_value for one in resource.resource.attributes}
        last[names["service.name"], names["service.instance.id"]] = {one.name: one for one in scope.metrics}
    assert sorted(service for service, _ in last) == ["latentprint-attack-engine"] * 2 + ["latentprint-encoder-server"]
    for name, pod in (("latentprint_answered_images", "server"), ("latentprint_engine_images", "driver")):
        points = [point for metrics in last.values() if name in metrics for point in metrics[name].sum.data_points]
        assert sum(point.as_double for point in points) == scraped.total(pod, f"{name}_total") > 0


def expressions(dashboard: str) -> Iterator[tuple[str, str]]:
    """What a dashboard reads, its variables filled in, with the legend of each."""
    for panel in DASHBOARDS[dashboard]["panels"]:
        for target in panel.get("targets", []):
            expression = target["expr"]
            for name, value in VARIABLES.items():
                expression = expression.replace(name, value)
            yield expression, target["legendFormat"]


@pytest.mark.parametrize("dashboard", sorted(DASHBOARDS))
def test_a_dashboard_reads_what_is_exported(scraped: Scraped, dashboard: str) -> None:
    found = list(expressions(dashboard))
    assert len(found) > 15
    for expression, legend in found:
        assert PROMQL.legend_labels(legend) <= PROMQL.result_labels(expression, scraped.known), expression


def evaluated(folder: Path, scraped: Scraped, of: list[str]) -> str:
    """What promtool says of expressions that find nothing in the first and the last page of each process."""
    series = {}
    for pod, pages in scraped.pages.items():
        target = {"namespace": "latentprint", "pod": pod, "job": f"latentprint/{pod}"}
        for place, page in enumerate((pages[0], pages[-1])):
            for one in PROMQL.samples(page):
                labels = ",".join(f"{name}={json.dumps(value)}" for name, value in {**one.labels, **target}.items())
                series.setdefault(f"{one.name}{{{labels}}}", ["_", "_"])[place] = repr(one.value)
    given = [{"series": one, "values": " ".join([*values, values[1]])} for one, values in series.items()]
    rules = [{"alert": f"Nothing{place}", "expr": f"absent({one})"} for place, one in enumerate(of)]
    checks = [{"eval_time": "2m", "alertname": rule["alert"], "exp_alerts": []} for rule in rules]
    test = {"interval": "1m", "input_series": given, "alert_rule_test": checks}
    ended = PROMTOOL.tested(folder, rules, [test])
    return ended.stdout + ended.stderr


def test_every_expression_of_the_dashboards_finds_something(scraped: Scraped, tmp_path: Path) -> None:
    of = [expression for name in DASHBOARDS for expression, _ in expressions(name)]
    assert "SUCCESS" in evaluated(tmp_path, scraped, of)


@pytest.mark.parametrize(
    "broken",
    [
        "sum(rate(latentprint_answered_image_total[5m]))",
        'latentprint_requests_total{status="OK"}',
        "sum by (outcome) (latentprint_requests_total)",
        "latentprint_ready / on (side) latentprint_queued_images",
        "histogram_quantile(0.5, sum by (pod) (rate(latentprint_queue_seconds_bucket[5m])))",
        "max_over_time(sum by (NodeName) (ray_tasks)[15m:1m])",
        "sum(latentprint_ready",
    ],
)
def test_an_expression_that_reads_what_is_not_exported_is_refused(scraped: Scraped, broken: str) -> None:
    with pytest.raises(PROMQL.WrongExpression):
        PROMQL.result_labels(broken, scraped.known)


def test_an_expression_that_finds_nothing_is_noticed(scraped: Scraped, tmp_path: Path) -> None:
    said = evaluated(tmp_path, scraped, ["latentprint_ready", 'latentprint_ready{namespace="elsewhere"}'])
    assert "Nothing1" in said
    assert "Nothing0" not in said


@pytest.mark.parametrize("alert", sorted(PROMTOOL.alerts()))
def test_an_alert_reads_what_is_exported(scraped: Scraped, alert: str) -> None:
    rule: Mapping[str, Any] = PROMTOOL.alerts()[alert]
    labels = PROMQL.result_labels(rule["expr"], scraped.known)
    shown = set(re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
    assert shown <= labels


def test_the_page_for_operators_lists_all_metrics_and_no_other(scraped: Scraped) -> None:
    page = (HERE.parent / "docs" / "operate.md").read_text()
    told = {}
    for name, labels in re.findall(r"^\| `(latentprint_\w+)` \|([^|]*)\|", page, re.MULTILINE):
        told[name] = frozenset(re.findall(r"\w+", labels))
    there = {}
    for name, labels in scraped.known.items():
        if name.startswith("latentprint_") and not name.endswith(("_created", "_sum", "_count")):
            there[name.removesuffix("_bucket")] = labels - PROMQL.TARGET - {"le"}
    assert told == there
