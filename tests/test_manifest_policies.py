"""Every overlay keeps to every policy, and every policy refuses an overlay that was broken for it."""

import copy
import re
import runpy
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

HERE = Path(__file__).parent
general = SimpleNamespace(**runpy.run_path(str(HERE / "manifest_policies.py")))
ray = SimpleNamespace(**runpy.run_path(str(HERE / "ray_policies.py")))
cluster = general.cluster
POLICIES = [*general.POLICIES, *ray.POLICIES]
Object = dict[str, Any]
Change = Callable[[Object], None]


@pytest.mark.parametrize("overlay", ["gpu", "local"])
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.__name__)
def test_overlays_keep_to_the_policy(
    policy: Callable[[list[Object]], Iterable[str]], overlay: str, manifests: Mapping[str, list[Object]]
) -> None:
    assert list(policy(manifests[overlay])) == []


def pod_of(each: Object) -> Object:
    """The specification of a Deployment's or a Job's pod."""
    return each["spec"]["template"]["spec"]


def first(each: Object) -> Object:
    return pod_of(each)["containers"][0]


def path_of(each: Object, path: str) -> tuple[Any, Any]:
    """What holds the last step of a path such as "spec/rules/0/port", and that step; a ~ stands for a slash."""
    *steps, last = [int(step) if step.isdigit() else step.replace("~", "/") for step in path.split("/")]
    for step in steps:
        each = each[step]
    return each, last


def put(path: str, value: Any) -> Change:
    def change(each: Object) -> None:
        holder, last = path_of(each, path)
        holder[last] = value

    return change


def take(path: str) -> Change:
    def change(each: Object) -> None:
        holder, last = path_of(each, path)
        del holder[last]

    return change


JOB, HEAD, WORKER = "spec/rayClusterSpec", "spec/rayClusterSpec/headGroupSpec", "spec/rayClusterSpec/workerGroupSpecs/0"
SUBMITTER, SCALER = "spec/submitterPodTemplate", "spec/autoscalerOptions"
POD, LOOP_HEAD = "spec/template/spec", "spec/headGroupSpec/template/spec"
ANNOTATIONS, SELECTED = "metadata/annotations", "spec/podSelector/matchLabels"
RUN, TRAIN, LOOP = "RayJob/latentprint-run", "RayJob/latentprint-train", "RayCluster/latentprint-interactive"
SERVER, MLFLOW, CONFIG = "Deployment/encoder-server", "Deployment/mlflow", "ConfigMap/encoder-server"
BREAKS = {  # policy: the object, what is done to it, and what the policy says then
    "pods_are_restricted": [
        (SERVER, lambda each: pod_of(each).update(hostNetwork=True), "shares the node"),
        (RUN, put(f"{WORKER}/template/spec/securityContext/runAsUser", 0), "worker does not run as user 10001"),
        (RUN, take(f"{SUBMITTER}/spec/containers/0/securityContext"), "submitter, ray-job-submitter: security context"),
        (LOOP, take(f"{SCALER}/securityContext"), "head, autoscaler: security context None"),
        (MLFLOW, take(f"{POD}/securityContext/seccompProfile"), "no seccomp"),
        ("Job/mlflow-db-upgrade", lambda each: first(each)["securityContext"].update(privileged=True), "privileged"),
        (RUN, put(f"{HEAD}/template/spec/volumes/0", {"name": "x", "hostPath": {"path": "/"}}), "not allowed"),
        (RUN, put(f"{HEAD}/template/spec/containers/0/ports/0/hostPort", 6379), "port of the node"),
    ],
    "nobody_holds_a_token_who_needs_none": [
        ("ServiceAccount/ray", take("automountServiceAccountToken"), "gives out tokens"),
        (RUN, put(f"{WORKER}/template/spec/automountServiceAccountToken", True), "mounts a token"),
        (LOOP, put(f"{LOOP_HEAD}/containers/0/volumeMounts/0/name", "kubernetes"), "ray-head: holds"),
        (LOOP, put(f"{SCALER}/volumeMounts", []), "autoscaler: lacks"),
    ],
    "what_is_named_is_there_or_declared_external": [
        (RUN, put(f"{HEAD}/template/spec/containers/0/envFrom/0/configMapRef/name", "rya"), "ConfigMap/rya is named"),
        (SERVER, take("metadata/annotations/latentprint~external"), "Secret/encoder-server-api-keys is named"),
        (SERVER, put(f"{POD}/priorityClassName", "urgent"), "PriorityClass/urgent is named"),
        (MLFLOW, put(ANNOTATIONS, {"latentprint/external": "Secret/mlflow Secret/old"}), "Secret/old is declared"),
        ("PriorityClass/latentprint-batch", put("metadata/name", "batch"), "PriorityClass/batch is used by nobody"),
    ],
    "mounts_and_volumes_agree": [
        (RUN, take(f"{HEAD}/template/spec/containers/0/volumeMounts/2"), "mounted or declared alone"),
        (LOOP, put("spec/workerGroupSpecs/0/template/spec/volumes/1/emptyDir", {}), "no size limit"),
    ],
    "resources_are_asked_for_and_bounded": [
        (TRAIN, take(f"{HEAD}/template/spec/initContainers/0/resources/limits/memory"), "data lacks"),
        (MLFLOW, put(f"{POD}/containers/0/resources/requests/memory", "3Gi"), "more than it may take"),
        (RUN, put(f"{WORKER}/template/spec/containers/0/resources/requests/cpu", "1"), "whole cores"),
        (RUN, put(f"{WORKER}/template/spec/containers/0/resources/limits/nvidia.com~gpu", 2), "in part"),
        (TRAIN, take(f"{HEAD}/template/spec/tolerations"), "tolerate"),
    ],
    "selectors_match": [
        (MLFLOW, put("spec/selector/matchLabels", {"app": "mlflow"}), "does not select its own"),
        ("Service/mlflow", put("spec/selector", {"app": "mlflow"}), "Service/mlflow selects no pod"),
        ("NetworkPolicy/database-clients", put("spec/podSelector/matchLabels", {"db": "yes"}), "selects no pod"),
    ],
    "services_lead_to_ports": [
        ("Service/mlflow", put("spec/ports/0/targetPort", "web"), "no container has the port web"),
        ("PodMonitor/encoder-server", put("spec/podMetricsEndpoints/0/port", "web"), "has the port web"),
    ],
    "every_client_edge_has_its_policies": [
        (RUN, take(f"{WORKER}/template/metadata/labels/mlflow-client"), "worker may not send to mlflow:5000"),
        ("NetworkPolicy/mlflow", put("spec/ingress", []), "mlflow:5000 does not receive from"),
        ("NetworkPolicy/encoder-server-clients", put("spec/egress/0/ports/0/port", 80), "send to encoder-server:8500"),
        ("ConfigMap/ray", put("data/MLFLOW_TRACKING_URI", "http://mlflow:80"), "mlflow:80, which no Service offers"),
        (MLFLOW, take("spec/template/metadata/labels/database-client"), "may not send outside to port 5432"),
        (RUN, take(f"{HEAD}/template/metadata/labels/object-storage-client"), "head may not send outside to port 443"),
        (SERVER, put("spec/template/metadata/labels/database-client", "true"), "may, and need not"),
        (RUN, put(f"{SUBMITTER}/metadata/labels/object-storage-client", "true"), "may, and need not"),
    ],
    "nothing_is_open_by_default": [
        ("NetworkPolicy/default-deny", put("spec/policyTypes", ["Egress"]), "Ingress is open"),
        ("NetworkPolicy/default-deny", put("spec/egress", [{"to": [{"podSelector": {}}]}]), "Egress is open"),
        ("NetworkPolicy/dns", put("spec/egress", []), "Nobody may ask for names"),
    ],
    "no_secret_is_written_down": [
        (MLFLOW, lambda each: each.update(kind="Secret"), "lies in the repository"),
        ("ConfigMap/ray", put("data/MLFLOW_TRACKING_PASSWORD", "x"), "ConfigMap/ray holds"),
        (RUN, put(f"{HEAD}/template/spec/containers/0/env/0", {"name": "A_TOKEN", "value": "x"}), "is told A_TOKEN"),
    ],
    "ray_s_nodes_talk_to_each_other_alone": [
        ("NetworkPolicy/latentprint-run", put("spec/ingress", []), "Ingress with a node of RayJob/latentprint-run"),
        ("NetworkPolicy/latentprint-run", put(SELECTED, {"latentprint/ray-node": "true"}), "latentprint-train"),
        (RUN, put(f"{WORKER}/template/metadata/labels/latentprint~job", "audit"), "latentprint-audit"),
        (RUN, put(f"{SUBMITTER}/metadata/labels", {}), "submitter cannot reach"),
        ("NetworkPolicy/ray-heads", take("spec/ingress/0/from/1"), "operator cannot ask"),
    ],
    "kuberay_takes_it": [
        (RUN, put("metadata/name", "1st"), "no such name"),
        (LOOP, put("metadata/name", "a" * 51), "no such name"),
        (RUN, put(f"{JOB}/networkPolicy", {}), "feature gate"),
        (RUN, put(f"{JOB}/authOptions/mode", "disabled"), "may run code there"),
        (RUN, put(f"{WORKER}/minReplicas", 3), "between their bounds"),
        (RUN, put(f"{HEAD}/resources", {"cpu": "2"}), "resources twice"),
        (RUN, take("spec/shutdownAfterJobFinishes"), "need shutdownAfterJobFinishes"),
        (RUN, put("spec/deletionStrategy", {"deletionRules": []}), "not both"),
        (RUN, take(SUBMITTER), "default submitter"),
        (RUN, put("spec/entrypoint", 'latentprint run "$EXPERIMENT" && date'), "without its quotes"),
        (RUN, take("spec/activeDeadlineSeconds"), "for ever"),
        (LOOP, put(f"{SCALER}/version", "v1"), "is v2"),
        (LOOP, take("spec/workerGroupSpecs/0/template/spec/restartPolicy"), "restartPolicy Never"),
    ],
    "ray_s_memory_fits": [
        (RUN, take(f"{WORKER}/rayStartParams/object-store-memory"), "too small"),
        (RUN, put(f"{WORKER}/template/spec/containers/0/resources/limits/memory", "1Gi"), "or too large"),
    ],
    "queued_jobs_can_be_admitted": [
        (RUN, put("metadata/labels/kueue.x-k8s.io~queue-name", "other"), "in no queue"),
        (RUN, put("metadata/labels/kueue.x-k8s.io~priority-class", "urgent"), "no priority class"),
        ("LocalQueue/latentprint", put("spec/clusterQueue", "other"), "leads to no ClusterQueue"),
        (RUN, put(f"{WORKER}/replicas", 100), "more than its queue ever has"),
    ],
}  # fmt: skip


def broken(objects: list[Object], name: str, change: Change) -> list[Object]:
    """A copy of the objects, one of them changed."""
    found = copy.deepcopy(objects)
    (each,) = (one for one in found if re.sub(r"(ConfigMap/.*)-[0-9a-z]{10}$", r"\1", cluster.called(one)) == name)
    change(each)
    return found


@pytest.mark.parametrize(
    ("name", "place"), [(name, place) for name, breaks in BREAKS.items() for place in range(len(breaks))]
)
def test_the_policy_refuses_what_was_broken(name: str, place: int, manifests: Mapping[str, list[Object]]) -> None:
    (policy,) = (each for each in POLICIES if each.__name__ == name)
    called, change, words = BREAKS[name][place]
    assert any(words in said for said in policy(broken(manifests["gpu"], called, change)))


def test_every_policy_is_shown_to_refuse() -> None:
    assert list(BREAKS) == [policy.__name__ for policy in POLICIES]
    assert all(words for breaks in BREAKS.values() for _, _, words in breaks)
