"""The Kubernetes manifests: valid by the published schemas, whole, and as restricted as docs/deploy.md says."""

import json
import re
import runpy
import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(__file__).with_name("data") / "crds"
OVERLAYS = ("gpu", "local")
VERSIONS = ("1.30", "1.37")  # the oldest Kubernetes that has all that is used, and the newest that has a schema
CLIENT = {"encoder-server-client": "true"}  # whoever asks an encoder server brings this label
SERVER = {"app.kubernetes.io/name": "encoder-server"}
PROMETHEUS = {"app.kubernetes.io/name": "prometheus"}
RAY = {"ray.io/is-ray-node": "yes", "ray.io/node-type": "head"}  # as KubeRay labels the pods that it makes
RAY_PORTS = {"metrics": 8080, "engine-metrics": 9091}  # the first is added by KubeRay
JOBS = {"latentprint-audit", "latentprint-run", "latentprint-train"}
CLUSTER_WIDE = ("Namespace", "PriorityClass", "ClusterQueue", "ResourceFlavor", "WorkloadPriorityClass")
cluster = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("cluster_objects.py"))))
kinds, containers, matches, allowed = cluster.kinds, cluster.containers, cluster.matches, cluster.allowed
Object = dict[str, Any]
Manifests = Mapping[str, list[Object]]


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest, manifests: Manifests) -> list[Object]:
    """The objects of one overlay."""
    return manifests[request.param]


def named(objects: list[Object], name: str) -> Object:
    """An object by kind and name, as "Deployment/encoder-server"."""
    (found,) = (each for each in objects if cluster.called(each) == name)
    return found


def server_pod(objects: list[Object]) -> Object:
    """The template of the encoder server's pods."""
    return named(objects, "Deployment/encoder-server")["spec"]["template"]


def test_every_overlay_is_tested(manifests: Manifests) -> None:
    assert tuple(manifests) == OVERLAYS


def closed(schema: Any) -> Any:
    """A custom resource's schema that takes no field which it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    stricter = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("pattern"), str):
        stricter["pattern"] = schema["pattern"].replace("^(?i)", "(?i)^")  # Go's way of writing it is not Python's
    if isinstance(schema.get("required"), list):  # the API server fills in what has a default
        filled = {name for name, value in schema.get("properties", {}).items() if "default" in value}
        stricter["required"] = [name for name in schema["required"] if name not in filled]
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        stricter.setdefault("additionalProperties", False)
    return stricter


def definition_of(kind: str) -> Path:
    """Where the definition of a custom resource is kept, whose file is named by its plural."""
    return DATA / f"{kind.lower()}{'es' if kind.endswith('s') else 's'}.yaml"


@cache
def custom_schema(kind: str) -> Any:
    definition = yaml.load(definition_of(kind).read_text(), yaml.CSafeLoader)  # 5 times as fast
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return closed(schema | {"properties": schema["properties"] | {"metadata": {"type": "object"}}})


def check(each: Object, versions: Sequence[str] = VERSIONS) -> None:
    """Raise `jsonschema.ValidationError` where an object does not fit its published schema, or holds more than that."""
    if each["kind"] == "Certificate":  # cert-manager's, of which a test of its own looks at all that is used
        return
    if definition_of(each["kind"]).exists():
        jsonschema.validate(each, custom_schema(each["kind"]), jsonschema.Draft202012Validator)
        return
    for version in versions:
        kubernetes_validate.validate(each, version, strict=True)


def test_objects_fit_the_published_schemas(manifests: Manifests) -> None:
    ray = {id(each) for objects in manifests.values() for each in kinds(objects, "RayJob", "RayCluster")}
    assert len(ray) == 8
    made = [each for objects in manifests.values() for each in objects]
    # KubeRay's definitions are kept without pod templates: those are looked at as the pods that they become.
    made += [
        pod | {"metadata": pod["metadata"] | {"name": "pod"}}
        for objects in manifests.values()
        for pod in ray_pods(objects)
    ]
    distinct = {json.dumps(each, sort_keys=True) for each in made}
    assert len(distinct) > 60
    for each in distinct:
        check(json.loads(each))


def ray_pods(objects: list[Object]) -> list[Object]:
    return [pod for name, pod in cluster.pods(objects) if name.startswith("Ray")]


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("Deployment", "replica"),
        ("ScaledObject", "minReplicas"),
        ("RayJob", "shutdownAfterJobFinish"),
        ("RayCluster", "rayversion"),
        ("ClusterQueue", "cohortname"),
        ("LocalQueue", "queue"),
    ],
)
def test_a_field_that_there_is_not_is_noticed(manifests: Manifests, kind: str, field: str) -> None:
    found = kinds(manifests["gpu"], kind)[0]
    wrong = found | {"spec": found["spec"] | {field: 1}}
    with pytest.raises(jsonschema.ValidationError):
        check(wrong, VERSIONS[:1])


def test_everything_lies_in_one_namespace_that_is_restricted(objects: list[Object]) -> None:
    (namespace,) = kinds(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    inside = {each["metadata"].get("namespace") for each in objects if each["kind"] not in CLUSTER_WIDE}
    assert inside == {namespace["metadata"]["name"]}


def test_there_is_what_the_documentation_names(objects: list[Object]) -> None:
    assert {each["metadata"]["name"] for each in kinds(objects, "Deployment")} == {"encoder-server", "mlflow"}
    assert {each["metadata"]["name"] for each in kinds(objects, "RayJob")} == JOBS
    assert [each["metadata"]["name"] for each in kinds(objects, "RayCluster")] == ["latentprint-interactive"]
    assert [each["metadata"]["name"] for each in kinds(objects, "Job")] == ["mlflow-db-upgrade"]


def test_selectors_of_the_server_match_its_pods(objects: list[Object]) -> None:
    pod = server_pod(objects)
    for spread in pod["spec"]["topologySpreadConstraints"]:
        assert matches(spread["labelSelector"], pod["metadata"]["labels"])
    (budget,) = kinds(objects, "PodDisruptionBudget")
    assert matches(budget["spec"]["selector"], pod["metadata"]["labels"])
    deployments = {each["metadata"]["name"] for each in kinds(objects, "Deployment")}
    assert {each["spec"]["scaleTargetRef"]["name"] for each in kinds(objects, "ScaledObject")} <= deployments


def test_probes_ask_the_container_s_own_port(objects: list[Object]) -> None:
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    (server,), (tracking,) = (
        named(objects, f"Deployment/{name}")["spec"]["template"]["spec"]["containers"]
        for name in ("encoder-server", "mlflow")
    )
    ports = {port["name"]: port["containerPort"] for port in server["ports"]}
    over_tls = any(argument.startswith("--tls-cert=") for argument in server["args"])
    assert over_tls == ("health" in ports)  # kubelet speaks no TLS
    assert {server[probe]["grpc"]["port"] for probe in probes} == {ports["health" if over_tls else "grpc"]}
    assert {tracking[probe]["httpGet"]["port"] for probe in probes} == {port["name"] for port in tracking["ports"]}
    assert named(objects, "Service/encoder-server")["spec"]["clusterIP"] == "None"


def test_clients_alone_may_ask_and_both_ends_say_so(objects: list[Object]) -> None:
    assert allowed(objects, "Egress", CLIENT, SERVER, 8500)
    assert allowed(objects, "Ingress", SERVER, CLIENT, 8500)
    assert not allowed(objects, "Ingress", SERVER, {"app": "other"}, 8500)
    assert not allowed(objects, "Ingress", SERVER, CLIENT, 8500, "elsewhere")
    assert not allowed(objects, "Ingress", SERVER, CLIENT, 9090)
    assert not allowed(objects, "Ingress", CLIENT, SERVER, 8500)
    assert not allowed(objects, "Egress", SERVER, CLIENT, 8500)
    for pod in (CLIENT, SERVER):
        assert allowed(objects, "Egress", pod, {"k8s-app": "kube-dns"}, 53, "kube-system")


def test_metrics_are_for_prometheus_where_it_is_used(manifests: Manifests) -> None:
    for name, objects in manifests.items():
        for port, expected in ((9090, name == "gpu"), (8500, False)):
            assert allowed(objects, "Ingress", SERVER, PROMETHEUS, port, "monitoring") == expected
        for port in RAY_PORTS.values():
            assert allowed(objects, "Ingress", RAY, PROMETHEUS, port, "monitoring") == (name == "gpu")
            assert not allowed(objects, "Ingress", RAY, PROMETHEUS, port, "elsewhere")


def options(objects: list[Object]) -> dict[str, str]:
    """The server's options as its container's arguments give them."""
    (container,) = server_pod(objects)["spec"]["containers"]
    return dict(
        argument.removeprefix("--").split("=", 1) for argument in container["args"] if argument.startswith("--")
    )


def test_a_pod_is_given_the_time_that_it_takes_to_drain(objects: list[Object]) -> None:
    pod = server_pod(objects)
    (container,) = pod["spec"]["containers"]
    given, told = pod["spec"]["terminationGracePeriodSeconds"], options(objects)
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert given >= before + float(told["settle-seconds"]) + float(told["grace-seconds"]) + 10
    readiness = container["readinessProbe"]
    assert before + float(told["settle-seconds"]) >= readiness["periodSeconds"]


def test_what_may_wait_fits_into_half_of_the_memory(objects: list[Object]) -> None:
    limit = server_pod(objects)["spec"]["containers"][0]["resources"]["limits"]["memory"]
    assert int(options(objects)["max-queued-bytes"]) <= int(limit.removesuffix("Gi")) * 2**30 / 2


def test_a_gpu_is_whole_and_no_pod_needs_one_more_than_there_are(manifests: Manifests) -> None:
    deployment = named(manifests["gpu"], "Deployment/encoder-server")
    spec = deployment["spec"]["template"]["spec"]
    resources = spec["containers"][0]["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == 1
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    devices = [each["data"]["DEVICE"] for each in kinds(manifests["gpu"], "ConfigMap") if "DEVICE" in each["data"]]
    assert devices == ["cuda", "cuda"]  # of the server, and of a training


def test_an_alert_on_what_is_not_there_looks_into_the_namespace_of_the_server(manifests: Manifests) -> None:
    (rules,) = kinds(manifests["gpu"], "PrometheusRule")
    (server,) = (each for each in kinds(manifests["gpu"], "Deployment") if each["metadata"]["name"] == "encoder-server")
    absent = [rule["expr"] for group in rules["spec"]["groups"] for rule in group["rules"] if "absent(" in rule["expr"]]
    assert len(absent) == 1
    named = {name for expression in absent for name in re.findall(r'namespace="(.*?)"', expression)}
    assert named == {server["metadata"]["namespace"]}


def test_dashboards_are_found_by_grafana(manifests: Manifests) -> None:
    found = [
        each
        for each in kinds(manifests["gpu"], "ConfigMap")
        if "grafana_dashboard" in each["metadata"].get("labels", {})
    ]
    titles = {json.loads(content)["title"] for each in found for content in each["data"].values()}
    assert titles == {"latentprint: encoder server", "latentprint: attack engine"}


def test_replicas_are_set_by_hand_or_by_the_autoscaler_never_by_both(manifests: Manifests) -> None:
    for objects in manifests.values():
        deployment = named(objects, "Deployment/encoder-server")
        scaled = kinds(objects, "ScaledObject")
        assert kinds(objects, "HorizontalPodAutoscaler") == []
        assert ("replicas" in deployment["spec"]) == (not scaled)
        for each in scaled:
            assert each["spec"]["minReplicaCount"] >= 1
            (query,) = [trigger["metadata"]["query"] for trigger in each["spec"]["triggers"]]
            assert set(re.findall(r'namespace="(.*?)"', query)) == {deployment["metadata"]["namespace"]}


def test_images_have_this_version_and_a_dockerfile(objects: list[Object]) -> None:
    version = tomllib.loads((ROOT / "services/encoder-server/pyproject.toml").read_text())["project"]["version"]
    images = {each["image"] for _, pod in cluster.pods(objects) for each in containers(pod)}
    own = {image for image in images if "/victim-bundle:" not in image}
    assert len(own) == 4
    for image in own:
        path, tag = image.rsplit(":", 1)
        name = path.rsplit("/", 1)[1]
        assert tag.split("-")[0] == version
        assert any((ROOT / folder / name / "Dockerfile").exists() for folder in ("services", "deploy"))


def test_ray_s_version_is_the_lock_s(objects: list[Object]) -> None:
    locked = dict(line.split("==") for line in (ROOT / "requirements/engine.txt").read_text().split() if "==" in line)
    versions = {cluster.ray_cluster(each)["rayVersion"] for each in kinds(objects, "RayJob", "RayCluster")}
    assert versions == {locked["ray"]}


def test_the_tracking_server_answers_to_its_names(objects: list[Object]) -> None:
    """Else clients meet a 403: MLflow compares the Host header, port included, with its list."""
    hosts = next(
        each["data"]["ALLOWED_HOSTS"] for each in kinds(objects, "ConfigMap") if "ALLOWED_HOSTS" in each["data"]
    )
    service = named(objects, "Service/mlflow")
    (port,), namespace = service["spec"]["ports"], service["metadata"]["namespace"]
    names = ["mlflow", f"mlflow.{namespace}", f"mlflow.{namespace}.svc"]
    assert {f"{name}:{port['port']}" for name in names} <= set(hosts.split(","))
    assert named(objects, "ConfigMap/ray")["data"]["MLFLOW_TRACKING_URI"] == f"http://mlflow:{port['port']}"


def test_whatever_copies_from_the_storage_does_it_alike(objects: list[Object]) -> None:
    """One line of Python, which `test_platform_commands.py` runs; the training's script ends with it."""
    commands = [each.get("command", []) for _, pod in cluster.pods(objects) for each in containers(pod)]
    (line,) = {command[2] for command in commands if "-c" in command}
    script = named(objects, "ConfigMap/latentprint-entrypoint-train")["data"]["entrypoint.sh"]
    assert f"python -c '{line}'" in script


def test_tls_is_asked_for_by_the_names_that_clients_use(manifests: Manifests) -> None:
    (certificate,) = kinds(manifests["gpu"], "Certificate")
    spec, namespace = certificate["spec"], certificate["metadata"]["namespace"]
    assert certificate["apiVersion"] == "cert-manager.io/v1"
    assert set(spec) == {"secretName", "issuerRef", "privateKey", "dnsNames"}
    assert {"encoder-server", f"encoder-server.{namespace}.svc", "localhost"} <= set(spec["dnsNames"])
    told = named(manifests["gpu"], "ConfigMap/latentprint-audit")["data"]
    assert told["ENDPOINT"].startswith("grpcs://encoder-server:8500/")
    server = server_pod(manifests["gpu"])["spec"]
    volumes = {volume["name"]: volume.get("secret", {}).get("secretName") for volume in server["volumes"]}
    assert volumes["tls"] == spec["secretName"]
    folder = next(each["mountPath"] for each in server["containers"][0]["volumeMounts"] if each["name"] == "tls")
    given = options(manifests["gpu"])
    assert (given["tls-cert"], given["tls-key"]) == (f"{folder}/tls.crt", f"{folder}/tls.key")
    for name, pod in cluster.pods(manifests["gpu"]):
        if name.startswith("RayJob/latentprint-audit") and "submitter" not in name:
            mounted = {each["mountPath"] for each in pod["spec"]["containers"][0]["volumeMounts"]}
            assert told["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"].rsplit("/", 1)[0] in mounted
