"""The Kubernetes manifests: valid by the published schemas, whole, and as restricted as docs/deploy.md says."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
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
Object = dict[str, Any]
Manifests = Mapping[str, list[Object]]


@pytest.fixture(params=OVERLAYS)
def objects(request: pytest.FixtureRequest, manifests: Manifests) -> list[Object]:
    """The objects of one overlay."""
    return manifests[request.param]


def kinds(objects: list[Object], *names: str) -> list[Object]:
    return [each for each in objects if each["kind"] in names]


def pod_specs(objects: list[Object]) -> Iterator[Object]:
    """The templates of all that makes pods."""
    for each in objects:
        if "template" in each.get("spec", {}):
            yield each["spec"]["template"]


def containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    assert set(selector) <= {"matchLabels"}, "selectors by expressions are not understood here"
    return selector.get("matchLabels", {}).items() <= labels.items()


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
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        stricter.setdefault("additionalProperties", False)
    return stricter


def custom_schema(kind: str) -> Any:
    definition = yaml.load((DATA / f"{kind.lower()}s.yaml").read_text(), yaml.CSafeLoader)  # 5 times as fast
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return closed(schema | {"properties": schema["properties"] | {"metadata": {"type": "object"}}})


def check(each: Object, versions: Sequence[str] = VERSIONS) -> None:
    """Raise `jsonschema.ValidationError` where an object does not fit its published schema, or holds more than that."""
    if (DATA / f"{each['kind'].lower()}s.yaml").exists():
        jsonschema.validate(each, custom_schema(each["kind"]), jsonschema.Draft202012Validator)
        return
    for version in versions:
        kubernetes_validate.validate(each, version, strict=True)


def test_objects_fit_the_published_schemas(manifests: Manifests) -> None:
    distinct = {json.dumps(each, sort_keys=True) for objects in manifests.values() for each in objects}
    assert len(distinct) > 12
    for each in distinct:
        check(json.loads(each))


@pytest.mark.parametrize(("kind", "field"), [("Deployment", "replica"), ("ScaledObject", "minReplicas")])
def test_a_field_that_there_is_not_is_noticed(manifests: Manifests, kind: str, field: str) -> None:
    (found,) = kinds(manifests["gpu"], kind)
    wrong = found | {"spec": found["spec"] | {field: 1}}
    with pytest.raises(jsonschema.ValidationError):
        check(wrong, VERSIONS[:1])


def test_everything_lies_in_one_namespace_that_is_restricted(objects: list[Object]) -> None:
    (namespace,) = kinds(objects, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    inside = {
        each["metadata"].get("namespace") for each in objects if each["kind"] not in ("Namespace", "PriorityClass")
    }
    assert inside == {namespace["metadata"]["name"]}


def test_selectors_match_pods(objects: list[Object]) -> None:
    labels = [pod["metadata"]["labels"] for pod in pod_specs(objects)] + [CLIENT, RAY]
    for each in kinds(objects, "Deployment"):
        assert matches(each["spec"]["selector"], each["spec"]["template"]["metadata"]["labels"])
        for spread in each["spec"]["template"]["spec"]["topologySpreadConstraints"]:
            assert matches(spread["labelSelector"], each["spec"]["template"]["metadata"]["labels"])
    selectors = [each["spec"]["selector"] for each in kinds(objects, "PodDisruptionBudget", "PodMonitor")]
    selectors += [{"matchLabels": each["spec"]["selector"]} for each in kinds(objects, "Service")]
    selectors += [each["spec"]["podSelector"] for each in kinds(objects, "NetworkPolicy")]
    assert len(selectors) >= 6
    for selector in selectors:
        assert any(matches(selector, found) for found in labels), selector
    deployments = {each["metadata"]["name"] for each in kinds(objects, "Deployment")}
    assert {each["spec"]["scaleTargetRef"]["name"] for each in kinds(objects, "ScaledObject")} <= deployments


def references(pod: Object) -> Iterator[str]:
    """Other objects that a pod names."""
    spec = pod["spec"]
    yield f"ServiceAccount/{spec['serviceAccountName']}"
    yield f"PriorityClass/{spec['priorityClassName']}"
    for volume in spec.get("volumes", []):
        if "secret" in volume:
            yield f"Secret/{volume['secret']['secretName']}"
        if "configMap" in volume:
            yield f"ConfigMap/{volume['configMap']['name']}"
        if "persistentVolumeClaim" in volume:
            yield f"PersistentVolumeClaim/{volume['persistentVolumeClaim']['claimName']}"
    for container in containers(pod):
        sources = [*container.get("envFrom", []), *(each.get("valueFrom", {}) for each in container.get("env", []))]
        for source in sources:
            for key, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
                yield from (f"{kind}/{source[name]['name']}" for name in (key, f"{key[:-3]}KeyRef") if name in source)


def test_what_is_named_is_there_or_declared_external(objects: list[Object]) -> None:
    there = {f"{each['kind']}/{each['metadata']['name']}" for each in objects}
    external = {
        name
        for each in objects
        for name in each["metadata"].get("annotations", {}).get("latentprint/external", "").split()
    }
    named = {name for pod in pod_specs(objects) for name in references(pod)}
    assert external <= named - there
    assert named - there == external
    assert kinds(objects, "Secret") == []  # no secret lies in the repository


def test_ports_are_those_of_the_container_and_mounts_those_of_the_pod(objects: list[Object]) -> None:
    for pod in pod_specs(objects):
        ports = {port["name"]: port["containerPort"] for each in containers(pod) for port in each.get("ports", [])}
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        mounted = {mount["name"] for each in containers(pod) for mount in each["volumeMounts"]}
        assert mounted == volumes
        for each in pod["spec"]["containers"]:
            probes = [each[f"{name}Probe"]["grpc"]["port"] for name in ("startup", "liveness", "readiness")]
            assert set(probes) == {ports["grpc"]}
    for service in kinds(objects, "Service"):
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= set(ports)
        assert service["spec"]["clusterIP"] == "None"
    for monitor in kinds(objects, "PodMonitor"):
        there = RAY_PORTS if matches(monitor["spec"]["selector"], RAY) else ports
        assert {each["port"] for each in monitor["spec"]["podMetricsEndpoints"]} <= set(there)


def peers_allow(peers: list[Object], labels: Mapping[str, str], namespace: str | None) -> bool:
    """Whether a rule's peers name a pod of `namespace`, None for the policy's own."""
    for peer in peers:
        there = peer.get("namespaceSelector")
        near = namespace is None if there is None else matches(there, {"kubernetes.io/metadata.name": namespace or ""})
        if near and matches(peer.get("podSelector", {}), labels):
            return True
    return False


def allowed(
    objects: list[Object],
    side: str,
    pod: Mapping[str, str],
    other: Mapping[str, str],
    port: int,
    far: str | None = None,
) -> bool:
    """Whether the policies let `pod` receive ("Ingress") from or send ("Egress") to `other`, of the namespace `far`."""
    policies = [each["spec"] for each in kinds(objects, "NetworkPolicy")]
    held = [policy for policy in policies if side in policy["policyTypes"] and matches(policy["podSelector"], pod)]
    assert held, "no policy holds this pod: it may do anything"
    key = {"Ingress": "from", "Egress": "to"}[side]
    rules = [rule for policy in held for rule in policy.get(side.lower(), [])]
    return any(
        peers_allow(rule[key], other, far) and port in [each["port"] for each in rule["ports"]] for rule in rules
    )


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


def test_pods_are_restricted(objects: list[Object]) -> None:
    assert [each["metadata"]["name"] for each in kinds(objects, "Deployment")] == ["encoder-server"]
    for pod in pod_specs(objects):
        spec, security = pod["spec"], pod["spec"]["securityContext"]
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec)
        assert {kind for volume in spec["volumes"] for kind in set(volume) - {"name"}} <= {"emptyDir", "secret"}
        assert all("sizeLimit" in volume.get("emptyDir", {"sizeLimit": 0}) for volume in spec["volumes"])
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == security["runAsGroup"] == security["fsGroup"] == 10001
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for each in containers(pod):
            own = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
            assert each["securityContext"] == own
            assert not any("hostPort" in port for port in each.get("ports", []))
            assert {"cpu", "memory"} <= set(each["resources"]["requests"]) & set(each["resources"]["limits"])
    assert all(each["automountServiceAccountToken"] is False for each in kinds(objects, "ServiceAccount"))


def options(objects: list[Object]) -> dict[str, str]:
    """The server's options as its container's arguments give them."""
    (deployment,) = kinds(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return dict(
        argument.removeprefix("--").split("=", 1) for argument in container["args"] if argument.startswith("--")
    )


def test_a_pod_is_given_the_time_that_it_takes_to_drain(objects: list[Object]) -> None:
    (pod,) = pod_specs(objects)
    (container,) = pod["spec"]["containers"]
    given, told = pod["spec"]["terminationGracePeriodSeconds"], options(objects)
    before = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert given >= before + float(told["settle-seconds"]) + float(told["grace-seconds"]) + 10
    readiness = container["readinessProbe"]
    assert before + float(told["settle-seconds"]) >= readiness["periodSeconds"]


def test_what_may_wait_fits_into_half_of_the_memory(objects: list[Object]) -> None:
    (pod,) = pod_specs(objects)
    limit = pod["spec"]["containers"][0]["resources"]["limits"]["memory"]
    assert int(options(objects)["max-queued-bytes"]) <= int(limit.removesuffix("Gi")) * 2**30 / 2


def test_a_gpu_is_whole_and_no_pod_needs_one_more_than_there_are(manifests: Manifests) -> None:
    (deployment,) = kinds(manifests["gpu"], "Deployment")
    spec = deployment["spec"]["template"]["spec"]
    resources = spec["containers"][0]["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == 1
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]
    assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    devices = [each["data"]["DEVICE"] for each in kinds(manifests["gpu"], "ConfigMap") if "DEVICE" in each["data"]]
    assert devices == ["cuda"]


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
        (deployment,) = kinds(objects, "Deployment")
        scaled = kinds(objects, "ScaledObject")
        assert kinds(objects, "HorizontalPodAutoscaler") == []
        assert ("replicas" in deployment["spec"]) == (not scaled)
        for each in scaled:
            assert each["spec"]["minReplicaCount"] >= 1
            (query,) = [trigger["metadata"]["query"] for trigger in each["spec"]["triggers"]]
            assert set(re.findall(r'namespace="(.*?)"', query)) == {deployment["metadata"]["namespace"]}


def test_images_have_this_version_and_a_dockerfile(objects: list[Object]) -> None:
    version = tomllib.loads((ROOT / "services/encoder-server/pyproject.toml").read_text())["project"]["version"]
    for pod in pod_specs(objects):
        for container in pod["spec"]["containers"]:
            image, tag = container["image"].rsplit(":", 1)
            assert tag.split("-")[0] == version
            assert (ROOT / "services" / image.rsplit("/", 1)[1] / "Dockerfile").exists()
