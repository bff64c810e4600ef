"""What Ray clusters, their jobs and their queues have to keep to; see `manifest_policies.py`.

KubeRay's rules are those that its code knows and its schemas do not.
"""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

Object = dict[str, Any]
cluster = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("cluster_objects.py"))))
DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LONGEST = {"RayJob": 47, "RayCluster": 50}  # what KubeRay makes of a name has to fit into 63 characters
GATED = {"networkPolicy", "tlsOptions", "historyServerOptions"}  # refused by the operator where a feature is off
MOST_GROUPS = 17  # of workers, that Kueue takes
RESOURCES = {"num-cpus", "num-gpus", "memory", "resources"}


def ray_s_nodes_talk_to_each_other_alone(objects: list[Object]) -> Iterator[str]:
    """Any port in a cluster, none between two; heads take jobs from submitters and from KubeRay's operator."""
    groups = [
        (each, [group["template"]["metadata"]["labels"] for group in cluster.ray_groups(each)])
        for each in cluster.kinds(objects, "RayJob", "RayCluster")
    ]
    for each, nodes in groups:
        for one in nodes:
            for other, theirs in ((him, found) for him, found in groups for found in found):
                for side in ("Ingress", "Egress"):
                    if cluster.allowed(objects, side, one, theirs, 34567) != (other is each):
                        yield f"{cluster.called(each)}: {side} with a node of {cluster.called(other)}."
        head, operator = nodes[0], {"app.kubernetes.io/name": "kuberay-operator"}
        if not cluster.allowed(objects, "Ingress", head, operator, 8265, "kuberay-system"):
            yield f"{cluster.called(each)}: KubeRay's operator cannot ask the head."
        submitter = each["spec"].get("submitterPodTemplate", {}).get("metadata", {}).get("labels")
        if submitter is not None:
            sent = cluster.allowed(objects, "Egress", submitter, head, 8265)
            if not (sent and cluster.allowed(objects, "Ingress", head, submitter, 8265)):
                yield f"{cluster.called(each)}: the submitter cannot reach the head."


def kuberay_takes_it(objects: list[Object]) -> Iterator[str]:
    """What KubeRay's code refuses and its schema does not."""
    for each in cluster.kinds(objects, "RayJob", "RayCluster"):
        name, spec, made = cluster.called(each), each["spec"], cluster.ray_cluster(each)
        called = each["metadata"]["name"]
        if not DNS_1035.fullmatch(called) or len(called) > LONGEST[each["kind"]]:
            yield f"{name}: KubeRay takes no such name."
        if made.get("authOptions") != {"mode": "token"} or "rayVersion" not in made:
            yield f"{name}: whoever reaches the head may run code there; tokens need rayVersion."
        if GATED & set(made) or "rocksdb" in str(made.get("gcsFaultToleranceOptions", "")):
            yield f"{name} has a field behind a feature gate."
        if each["kind"] == "RayJob":
            yield from ray_job_offences(name, spec)
        if made.get("enableInTreeAutoscaling"):
            yield from autoscaler_offences(name, made)
        yield from (offence for group in cluster.ray_groups(each) for offence in group_offences(name, group))


def group_offences(name: str, group: Object) -> Iterator[str]:
    """Of one group of nodes."""
    if group.get("resources") and RESOURCES & set(group["rayStartParams"]):
        yield f"{name} sets resources twice."
    bounds = [group.get(key, 0) for key in ("minReplicas", "replicas", "maxReplicas")]
    if bounds != sorted(bounds):
        yield f"{name}: replicas are not between their bounds."
    if len(group["template"]["spec"]["containers"]) != 1:
        yield f"{name}: Ray's container has to be the first, and is best alone."


def ray_job_offences(name: str, spec: Object) -> Iterator[str]:
    """Of one RayJob."""
    ends = spec.get("shutdownAfterJobFinishes", False)
    if not ends and (spec.get("ttlSecondsAfterFinished") or "suspend" in spec):
        yield f"{name}: ttlSecondsAfterFinished and suspend need shutdownAfterJobFinishes."
    if ends and "deletionRules" in spec.get("deletionStrategy", {}):
        yield f"{name}: shutdownAfterJobFinishes or deletionRules, not both."
    if "securityContext" not in spec.get("submitterPodTemplate", {}).get("spec", {}):
        yield f"{name}: the default submitter is refused where pods are restricted."
    if not re.fullmatch(r"[\w./ -]+", spec["entrypoint"]):
        yield f"{name}: KubeRay hands the entrypoint to a shell of the submitter, without its quotes."
    if not {"backoffLimit", "activeDeadlineSeconds"} <= set(spec):
        yield f"{name} may go on for ever."


def autoscaler_offences(name: str, made: Object) -> Iterator[str]:
    """Of a cluster that scales by itself."""
    options = made.get("autoscalerOptions", {})
    if options.get("version") != "v2" or "securityContext" not in options:
        yield f"{name}: the autoscaler is v2, with a security context of its own."
    for group in (made["headGroupSpec"], *made.get("workerGroupSpecs", [])):
        if group["template"]["spec"].get("restartPolicy") != "Never":
            yield f"{name}: autoscaler v2 wants restartPolicy Never."


def ray_s_memory_fits(objects: list[Object]) -> Iterator[str]:
    """Ray's object store lies in /dev/shm, whose limit is part of the container's memory."""
    for each in cluster.kinds(objects, "RayJob", "RayCluster"):
        for group in cluster.ray_groups(each):
            spec = group["template"]["spec"]
            shm = [one["emptyDir"]["sizeLimit"] for one in spec["volumes"] if one.get("emptyDir", {}).get("medium")]
            store = float(group["rayStartParams"].get("object-store-memory", "inf"))
            limit = cluster.amount(spec["containers"][0]["resources"]["limits"]["memory"])
            if not shm or not store <= cluster.amount(shm[0]) <= limit / 2:
                yield f"{cluster.called(each)}: /dev/shm is too small for the object store, or too large."


def queued_jobs_can_be_admitted(objects: list[Object]) -> Iterator[str]:
    """Where there is a queue, jobs stand in it, in a class that there is, and fit into its quota."""
    queues = {each["metadata"]["name"]: each["spec"]["clusterQueue"] for each in cluster.kinds(objects, "LocalQueue")}
    quotas = {each["metadata"]["name"]: quota(each) for each in cluster.kinds(objects, "ClusterQueue")}
    classes = {each["metadata"]["name"] for each in cluster.kinds(objects, "WorkloadPriorityClass")}
    yield from (f"Queue {name} leads to no ClusterQueue." for name, leads in queues.items() if leads not in quotas)
    for each in cluster.kinds(objects, "RayJob"):
        name, labels = cluster.called(each), each["metadata"].get("labels", {})
        queue = labels.get("kueue.x-k8s.io/queue-name")
        if (queue in queues) != bool(queues) or (queue is not None and not queues):
            yield f"{name} stands in no queue that there is: {queue}."
        if labels.get("kueue.x-k8s.io/priority-class") not in (classes or {None}):
            yield f"{name} has no priority class that there is."
        if len(cluster.ray_groups(each)) - 1 > MOST_GROUPS:
            yield f"{name} has more groups of workers than Kueue takes."
        limits = quotas.get(queues.get(queue, ""), {})
        if limits and any(value > limits.get(key, 0) for key, value in wanted(each).items()):
            yield f"{name} wants more than its queue ever has."


def quota(queue: Object) -> dict[str, float]:
    """What a ClusterQueue may admit together, by resource."""
    flavors = [one for group in queue["spec"]["resourceGroups"] for one in group["flavors"]]
    return {one["name"]: cluster.amount(one["nominalQuota"]) for flavor in flavors for one in flavor["resources"]}


def wanted(job: Object) -> dict[str, float]:
    """What a RayJob's pods ask for together, by resource."""
    total: dict[str, float] = {}
    templates = [(group["template"], group.get("replicas", 1)) for group in cluster.ray_groups(job)]
    for template, count in [*templates, (job["spec"]["submitterPodTemplate"], 1)]:
        for each in template["spec"]["containers"]:
            for key, value in each["resources"]["requests"].items():
                total[key] = total.get(key, 0) + count * cluster.amount(value)
    return total


POLICIES = [
    ray_s_nodes_talk_to_each_other_alone,
    kuberay_takes_it,
    ray_s_memory_fits,
    queued_jobs_can_be_admitted,
]
