"""Kubernetes objects as policies look at them: every pod that would run, and who may talk to whom."""

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

Object = dict[str, Any]
KUBE_SYSTEM = "kube-system"
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "m": 1e-3}
_PORTS = {"Ingress": "from", "Egress": "to"}


def amount(text: Any) -> float:
    """A quantity of Kubernetes as a number."""
    number, unit = re.fullmatch(r"([\d.]+)([A-Za-z]*)", str(text)).groups()
    return float(number) * UNITS.get(unit, 1)


def kinds(objects: list[Object], *names: str) -> list[Object]:
    """The objects of these kinds."""
    return [each for each in objects if each["kind"] in names]


def called(each: Object) -> str:
    """Kind and name, as "Job/mlflow-db-upgrade"."""
    return f"{each['kind']}/{each['metadata']['name']}"


def ray_cluster(each: Object) -> Object | None:
    """The cluster that a RayJob or RayCluster makes; None of another object."""
    found: Object | None = {"RayJob": each.get("spec", {}).get("rayClusterSpec"), "RayCluster": each.get("spec")}.get(
        each["kind"]
    )
    return found


def ray_groups(each: Object) -> list[Object]:
    """A Ray cluster's groups of nodes: the head's, then the workers'."""
    cluster = ray_cluster(each) or {}
    return [cluster["headGroupSpec"], *cluster.get("workerGroupSpecs", [])]


def pods(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod that the objects ask for, as a Pod, with what it is called; Ray's groups and submitters too."""
    for each in objects:
        if each["kind"] in ("RayJob", "RayCluster"):
            cluster = ray_cluster(each) or {}
            for name, group in zip(_group_names(cluster), ray_groups(each), strict=True):
                yield f"{called(each)} {name}", _as_kuberay_makes_it(group, cluster)
            if "submitterPodTemplate" in each["spec"]:
                yield f"{called(each)} submitter", _pod(each["spec"]["submitterPodTemplate"], [])
        elif "template" in each.get("spec", {}):
            yield called(each), _pod(each["spec"]["template"], [])


def _as_kuberay_makes_it(group: Object, cluster: Object) -> Object:
    """A node of a group with the labels and the port that KubeRay adds, and on the head with its autoscaler."""
    is_head = "groupName" not in group
    pod = _pod(group["template"], _sidecars(cluster) if is_head else [])
    pod["metadata"]["labels"] |= {"ray.io/is-ray-node": "yes", "ray.io/node-type": "head" if is_head else "worker"}
    pod["spec"]["containers"][0].setdefault("ports", []).append({"name": "metrics", "containerPort": 8080})
    return pod


def _group_names(cluster: Object) -> list[str]:
    return ["head", *(group["groupName"] for group in cluster.get("workerGroupSpecs", []))]


def _pod(template: Object, sidecars: list[Object]) -> Object:
    found = copy.deepcopy(template)
    found["spec"]["containers"] += sidecars
    metadata = {"name": "pod", "labels": {}} | found.get("metadata", {})
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": found["spec"]}


def _sidecars(cluster: Object) -> list[Object]:
    """The autoscaler's container, as far as the cluster's description sets it; its image is the head's."""
    if not cluster.get("enableInTreeAutoscaling"):
        return []
    settings = cluster.get("autoscalerOptions", {})
    taken = ("resources", "securityContext", "volumeMounts", "env", "envFrom", "imagePullPolicy")
    image = cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["image"]
    return [{"name": "autoscaler", "image": image} | {key: settings[key] for key in taken if key in settings}]


def containers(pod: Object) -> list[Object]:
    """Those that start the pod, and those that run in it."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def matches(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a selector selects these labels."""
    assert set(selector) <= {"matchLabels"}, "selectors by expressions are not understood here"
    return selector.get("matchLabels", {}).items() <= labels.items()


def peers_allow(peers: list[Object], labels: Mapping[str, str] | None, namespace: str | None) -> bool:
    """Whether a rule's peers name a pod of `namespace`, None for the policy's own; no labels: an address outside."""
    for peer in peers:
        if labels is None or "ipBlock" in peer:
            if labels is None and "ipBlock" in peer:
                return True
            continue
        there = peer.get("namespaceSelector")
        near = namespace is None if there is None else matches(there, {"kubernetes.io/metadata.name": namespace or ""})
        if near and matches(peer.get("podSelector", {}), labels):
            return True
    return False


def allowed(
    objects: list[Object],
    side: str,
    pod: Mapping[str, str],
    other: Mapping[str, str] | None,
    port: int,
    far: str | None = None,
) -> bool:
    """Whether the policies let `pod` receive ("Ingress") from or send ("Egress") to `other`, of the namespace `far`.

    `other` is a pod's labels, or None for an address outside of the cluster.
    """
    policies = [each["spec"] for each in kinds(objects, "NetworkPolicy")]
    held = [policy for policy in policies if side in policy["policyTypes"] and matches(policy["podSelector"], pod)]
    if not held:
        return True  # no policy holds this pod: it may do anything
    rules = [rule for policy in held for rule in policy.get(side.lower(), [])]
    return any(
        peers_allow(rule[_PORTS[side]], other, far)
        and ("ports" not in rule or port in [each["port"] for each in rule["ports"]])
        for rule in rules
    )


def environment_sources(container: Object) -> Iterator[tuple[str, str]]:
    """(kind, name) of every ConfigMap and Secret that a container's environment comes from."""
    for source in [*container.get("envFrom", []), *(each.get("valueFrom", {}) for each in container.get("env", []))]:
        for key, reference in source.items():
            kind = {"configMap": "ConfigMap", "secret": "Secret"}.get(key.removesuffix("Ref").removesuffix("Key"))
            if kind:
                yield kind, reference["name"]


def references(pod: Object) -> Iterator[str]:
    """Other objects that a pod names, as "Secret/mlflow"."""
    spec = pod["spec"]
    yield f"ServiceAccount/{spec.get('serviceAccountName', 'default')}"
    yield f"PriorityClass/{spec.get('priorityClassName', '')}"
    for volume in spec.get("volumes", []):
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            if "secret" in source:
                yield f"Secret/{source['secret'].get('secretName') or source['secret']['name']}"
            if "configMap" in source:
                yield f"ConfigMap/{source['configMap']['name']}"
            if "persistentVolumeClaim" in source:
                yield f"PersistentVolumeClaim/{source['persistentVolumeClaim']['claimName']}"
    for container in containers(pod):
        yield from (f"{kind}/{name}" for kind, name in environment_sources(container))
