"""What every overlay has to keep to: functions of its objects that yield a sentence for each offence.

`test_manifest_policies.py` asks all of them of every overlay, and shows of each that it can refuse.
"""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Object = dict[str, Any]
cluster = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("cluster_objects.py"))))
USER = 10001
RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "projected", "secret"}
GIVEN = {"ConfigMap/kube-root-ca.crt"}  # by Kubernetes, to every namespace
TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"
SECRET = re.compile(r"password|secret|token|(?<!_PUBLIC)_key\b", re.IGNORECASE)
SERVICE_URL = re.compile(r"\b(?:grpc|grpcs|http|https)://([a-z][-a-z0-9]*)(?:\.[-a-z0-9.]+)?:(\d+)")


def pods_are_restricted(objects: list[Object]) -> Iterator[str]:
    """As Kubernetes' standard "restricted" asks, and with a root file system that nobody writes to."""
    for name, pod in cluster.pods(objects):
        spec = pod["spec"]
        security = spec.get("securityContext", {})
        if {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & set(spec):
            yield f"{name} shares the node's namespaces."
        if {kind for volume in spec.get("volumes", []) for kind in set(volume) - {"name"}} - VOLUMES:
            yield f"{name} has a volume that is not allowed."
        ids = [security.get(key) for key in ("runAsUser", "runAsGroup", "fsGroup")]
        if not (security.get("runAsNonRoot") and ids == [USER] * 3):
            yield f"{name} does not run as user {USER}."
        if security.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name} has no seccomp profile."
        for each in cluster.containers(pod):
            if each.get("securityContext") != RESTRICTED:
                yield f"{name}, {each['name']}: security context {each.get('securityContext')}."
            if any("hostPort" in port for port in each.get("ports", [])):
                yield f"{name}, {each['name']} has a port of the node."


def nobody_holds_a_token_who_needs_none(objects: list[Object]) -> Iterator[str]:
    """Of the API server's tokens there is one, in the container of Ray's autoscaler."""
    for each in cluster.kinds(objects, "ServiceAccount"):
        if each.get("automountServiceAccountToken") is not False:
            yield f"{cluster.called(each)} gives out tokens."
    for name, pod in cluster.pods(objects):
        spec = pod["spec"]
        if spec.get("automountServiceAccountToken") is not False or spec.get("enableServiceLinks") is not False:
            yield f"{name} mounts a token or gets service links."
        tokens = {
            volume["name"]
            for volume in spec.get("volumes", [])
            for source in volume.get("projected", {}).get("sources", [])
            if "serviceAccountToken" in source
        }
        for each in cluster.containers(pod):
            held = {mount["name"] for mount in each.get("volumeMounts", [])} & tokens
            if bool(held) != (each["name"] == "autoscaler"):
                yield f"{name}, {each['name']}: {'holds' if held else 'lacks'} a token."


def what_is_named_is_there_or_declared_external(objects: list[Object]) -> Iterator[str]:
    """References of pods, against the overlay's objects and what they say is made by hand."""
    there = {cluster.called(each) for each in objects} | GIVEN
    there |= {f"Secret/{each['spec']['secretName']}" for each in cluster.kinds(objects, "Certificate")}
    said = [each["metadata"].get("annotations", {}).get("latentprint/external", "").split() for each in objects]
    external = {name for names in said for name in names}
    named = {name for _, pod in cluster.pods(objects) for name in cluster.references(pod)}
    yield from (f"{name} is named, and neither there nor declared external." for name in named - there - external)
    yield from (f"{name} is declared external, and there or named by nobody." for name in external - (named - there))
    own = cluster.kinds(objects, "ConfigMap", "PriorityClass", "ServiceAccount")
    made = {cluster.called(each) for each in own if "grafana_dashboard" not in each["metadata"].get("labels", {})}
    yield from (f"{name} is used by nobody." for name in made - named)


def mounts_and_volumes_agree(objects: list[Object]) -> Iterator[str]:
    """Every volume is mounted, every mount has its volume, and no disk is without a limit."""
    for name, pod in cluster.pods(objects):
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        mounted = {mount["name"] for each in cluster.containers(pod) for mount in each.get("volumeMounts", [])}
        if mounted != set(volumes):
            yield f"{name}: {mounted ^ set(volumes)} is mounted or declared alone."
        for key, volume in volumes.items():
            if volume.get("emptyDir") is not None and "sizeLimit" not in volume["emptyDir"]:
                yield f"{name}: {key} has no size limit."


def resources_are_asked_for_and_bounded(objects: list[Object]) -> Iterator[str]:
    """Requests and limits of all containers; GPUs whole and tolerated; Ray's nodes ask for all that they may take."""
    for name, pod in cluster.pods(objects):
        for each in cluster.containers(pod):
            requests, limits = (each.get("resources", {}).get(key, {}) for key in ("requests", "limits"))
            if not {"cpu", "memory"} <= set(requests) & set(limits):
                yield f"{name}, {each['name']} lacks requests or limits."
            if any(cluster.amount(requests[key]) > cluster.amount(limits[key]) for key in set(requests) & set(limits)):
                yield f"{name}, {each['name']} asks for more than it may take."
            if each["name"] in ("ray-head", "ray-worker") and (requests != limits or cluster.amount(limits["cpu"]) % 1):
                yield f"{name}, {each['name']}: Ray counts on whole cores that it asked for."
            gpus = [side.get("nvidia.com/gpu") for side in (requests, limits)]
            tolerations = pod["spec"].get("tolerations", [])
            if gpus != [None, None]:
                if gpus[0] != gpus[1] or not isinstance(gpus[0], int):
                    yield f"{name}, {each['name']} asks for a GPU in part."
                if not any(one.get("key") == "nvidia.com/gpu" for one in tolerations):
                    yield f"{name} does not tolerate the taint of nodes with GPUs."


def selectors_match(objects: list[Object]) -> Iterator[str]:
    """What selects pods selects one that there is, or a client that may come."""
    labels = [pod["metadata"]["labels"] for _, pod in cluster.pods(objects)]
    for each in cluster.kinds(objects, "Deployment"):
        if not cluster.matches(each["spec"]["selector"], each["spec"]["template"]["metadata"]["labels"]):
            yield f"{cluster.called(each)} does not select its own pods."
    for each in objects:
        spec = each.get("spec", {})
        selector = {
            "Service": {"matchLabels": spec.get("selector", {})},
            "NetworkPolicy": spec.get("podSelector"),
            "PodDisruptionBudget": spec.get("selector"),
            "PodMonitor": spec.get("selector"),
        }.get(each["kind"])
        if selector is not None and not any(cluster.matches(selector, found) for found in labels):
            yield f"{cluster.called(each)} selects no pod."


def services_lead_to_ports(objects: list[Object]) -> Iterator[str]:
    """A Service's and a PodMonitor's ports are the selected container's, by name."""
    found = [pod for _, pod in cluster.pods(objects)]
    for each in cluster.kinds(objects, "Service", "PodMonitor"):
        spec = each["spec"]
        if each["kind"] == "Service":
            selector, wanted = {"matchLabels": spec["selector"]}, {port["targetPort"] for port in spec["ports"]}
        else:
            selector, wanted = spec["selector"], {one["port"] for one in spec["podMetricsEndpoints"]}
        for pod in (one for one in found if cluster.matches(selector, one["metadata"]["labels"])):
            offered = {port["name"] for one in cluster.containers(pod) for port in one.get("ports", [])}
            yield from (f"{cluster.called(each)}: no container has the port {name}." for name in wanted - offered)


def every_client_edge_has_its_policies(objects: list[Object]) -> Iterator[str]:
    """Whoever is configured with a service's address may send there, and the service receives it; likewise outside."""
    for name, pod in cluster.pods(objects):
        labels, words = pod["metadata"]["labels"], list(configuration(objects, pod))
        for host, port in {match for word in words for match in SERVICE_URL.findall(word)}:
            service = next((one for one in cluster.kinds(objects, "Service") if one["metadata"]["name"] == host), None)
            if service is None or int(port) not in [one["port"] for one in service["spec"]["ports"]]:
                if host != "localhost":
                    yield f"{name} is told of {host}:{port}, which no Service offers."
                continue
            other = service["spec"]["selector"]
            if not cluster.allowed(objects, "Egress", labels, other, int(port)):
                yield f"{name} may not send to {host}:{port}."
            if not cluster.allowed(objects, "Ingress", other, labels, int(port)):
                yield f"{host}:{port} does not receive from {name}."
        kubernetes = pod["spec"].get("serviceAccountName") == "ray-autoscaler"
        outside = {443: kubernetes or any(word.startswith("s3://") for word in words), 5432: has_database(pod)}
        for port, needed in outside.items():
            if cluster.allowed(objects, "Egress", labels, None, port) != needed:
                yield f"{name} {'may not' if needed else 'may, and need not,'} send outside to port {port}."


def has_database(pod: Object) -> bool:
    """Whether a pod has a database elsewhere, not a file on a volume."""
    told = {one["name"] for each in cluster.containers(pod) for one in each.get("env", [])}
    on_volume = any("persistentVolumeClaim" in volume for volume in pod["spec"].get("volumes", []))
    return "MLFLOW_BACKEND_STORE_URI" in told and not on_volume


def configuration(objects: list[Object], pod: Object) -> Iterator[str]:
    """All values of a pod's ConfigMaps in the environment, and its plain ones and arguments."""
    maps = {each["metadata"]["name"]: each["data"] for each in cluster.kinds(objects, "ConfigMap")}
    for each in cluster.containers(pod):
        for kind, name in cluster.environment_sources(each):
            if kind == "ConfigMap":
                yield from maps.get(name, {}).values()
        yield from (one["value"] for one in each.get("env", []) if "value" in one)
        yield from (*each.get("command", []), *each.get("args", []))


def nothing_is_open_by_default(objects: list[Object]) -> Iterator[str]:
    """A pod that no other policy names may do nothing but ask for names."""
    stranger: dict[str, str] = {}
    for side in ("Ingress", "Egress"):
        for _, pod in cluster.pods(objects):
            if cluster.allowed(objects, side, stranger, pod["metadata"]["labels"], 8500):
                yield f"{side} is open to everybody."
    if not cluster.allowed(objects, "Egress", stranger, {"k8s-app": "kube-dns"}, 53, cluster.KUBE_SYSTEM):
        yield "Nobody may ask for names."


def no_secret_is_written_down(objects: list[Object]) -> Iterator[str]:
    """What is secret comes by reference."""
    yield from (f"{cluster.called(each)} lies in the repository." for each in cluster.kinds(objects, "Secret"))
    for each in cluster.kinds(objects, "ConfigMap"):
        yield from (f"{cluster.called(each)} holds {key}." for key in each["data"] if SECRET.search(key))
    for name, pod in cluster.pods(objects):
        for container in cluster.containers(pod):
            plain = [one["name"] for one in container.get("env", []) if "value" in one]
            yield from (f"{name}, {container['name']} is told {key}." for key in plain if SECRET.search(key))


POLICIES = [
    pods_are_restricted,
    nobody_holds_a_token_who_needs_none,
    what_is_named_is_there_or_declared_external,
    mounts_and_volumes_agree,
    resources_are_asked_for_and_bounded,
    selectors_match,
    services_lead_to_ports,
    every_client_edge_has_its_policies,
    nothing_is_open_by_default,
    no_secret_is_written_down,
]
