"""The recipes for clusters: every field is one that its kind of file has, every command one that our flags read.

The fields are those of the versions that the files name: KubeRay's ray.io/v1, JobSet's v1alpha2, SkyPilot 0.10.
"""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import yaml

from mole_jax.config import HINTS
from mole_jax.executors.on_ray import parse_resources
from mole_jax.studies.recipes import resolve
from mole_jax.sweeps.space import parse_space

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "experiments" / "cluster"


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    pass


class Metadata(Strict):
    name: str
    annotations: dict[str, str] = {}


class Resources(Strict):
    limits: dict[str, str]
    requests: dict[str, str]


class Mount(Strict):
    name: str
    mountPath: str


class Container(Strict):
    name: str
    image: str
    workingDir: str
    resources: Resources
    volumeMounts: list[Mount]
    command: list[str] = []


class Claim(Strict):
    claimName: str


class Volume(Strict):
    name: str
    persistentVolumeClaim: Claim


class Toleration(Strict):
    key: str
    operator: Literal["Exists", "Equal"]
    effect: Literal["NoSchedule", "NoExecute"]


class Pod(Strict):
    containers: list[Container]
    volumes: list[Volume]
    nodeSelector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    terminationGracePeriodSeconds: int = 30
    restartPolicy: Literal["Never", "OnFailure", "Always"] = "Always"


class PodTemplate(Strict):
    spec: Pod


class HeadGroup(Strict):
    rayStartParams: dict[str, str]
    template: PodTemplate


class WorkerGroup(Strict):
    groupName: str
    replicas: int
    minReplicas: int
    maxReplicas: int
    rayStartParams: dict[str, str]
    template: PodTemplate
    numOfHosts: int = 1


class RayCluster(Strict):
    rayVersion: str
    headGroupSpec: HeadGroup
    workerGroupSpecs: list[WorkerGroup]


class RayJobSpec(Strict):
    entrypoint: str
    submissionMode: Literal["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]
    backoffLimit: int
    shutdownAfterJobFinishes: bool
    ttlSecondsAfterFinished: int
    rayClusterSpec: RayCluster


class RayJob(Strict):
    apiVersion: Literal["ray.io/v1"]
    kind: Literal["RayJob"]
    metadata: Metadata
    spec: RayJobSpec


class ExitCodes(Strict):
    operator: Literal["In", "NotIn"]
    values: list[int]


class Condition(Strict):
    type: Literal["DisruptionTarget"]
    status: Literal["True", "False", "Unknown"]


class Rule(Strict):
    action: Literal["Ignore", "Count", "FailJob", "FailIndex"]
    onExitCodes: ExitCodes | None = None
    onPodConditions: list[Condition] = []


class Rules(Strict):
    rules: list[Rule]


class JobSpec(Strict):
    parallelism: int
    completions: int
    completionMode: Literal["Indexed", "NonIndexed"]
    backoffLimit: int
    podFailurePolicy: Rules
    template: PodTemplate


class JobTemplate(Strict):
    spec: JobSpec


class ReplicatedJob(Strict):
    name: str
    replicas: int
    template: JobTemplate


class FailurePolicy(Strict):
    maxRestarts: int


class JobSetSpec(Strict):
    failurePolicy: FailurePolicy
    replicatedJobs: list[ReplicatedJob]


class JobSet(Strict):
    apiVersion: Literal["jobset.x-k8s.io/v1alpha2"]
    kind: Literal["JobSet"]
    metadata: Metadata
    spec: JobSetSpec


class Recovery(Strict):
    max_restarts_on_errors: int
    recover_on_exit_codes: list[int]


class SkyResources(Strict):
    accelerators: str
    cpus: str
    memory: str
    use_spot: bool
    job_recovery: Recovery


class Bucket(Strict):
    name: str
    store: Literal["gcs", "s3", "azure", "r2"]
    mode: Literal["MOUNT", "COPY", "MOUNT_CACHED"]


class SkyTask(Strict):
    name: str
    workdir: str
    resources: SkyResources
    file_mounts: dict[str, Bucket]
    setup: str
    run: str


KINDS: dict[str, Any] = {
    "kuberay-gpu-sweep.yaml": RayJob,
    "kuberay-tpu-sweep.yaml": RayJob,
    "jobset-tpu-run.yaml": JobSet,
    "skypilot-sweep.yaml": SkyTask,
}
FILES = sorted(path for path in CLUSTER.iterdir() if path.suffix in (".yaml", ".sh"))


def read(name):
    return msgspec.convert(yaml.safe_load((CLUSTER / name).read_text()), KINDS[name])


def test_every_file_is_checked_and_told_of():
    assert {path.name for path in FILES if path.suffix == ".yaml"} == KINDS.keys()
    told = (CLUSTER / "README.md").read_text()
    assert all(f"`{path.name}`" in told for path in FILES)


@pytest.mark.parametrize("name", KINDS)
def test_every_field_is_known(name):
    read(name)
    broken = yaml.safe_load((CLUSTER / name).read_text()) | {"retires": 1}
    with pytest.raises(msgspec.ValidationError, match="unknown field `retires`"):
        msgspec.convert(broken, KINDS[name])


def test_pods_have_what_they_mount_and_ask_for_what_trials_take():
    for name in ("kuberay-gpu-sweep.yaml", "kuberay-tpu-sweep.yaml"):
        job = read(name)
        (workers,) = job.spec.rayClusterSpec.workerGroupSpecs
        asked = parse_resources(re.search(r"--resources=(\S+)", job.spec.entrypoint)[1])
        (worker,) = workers.template.spec.containers
        there = {"cpu": float(worker.resources.limits["cpu"])}
        there |= {"gpu": float(worker.resources.limits.get("nvidia.com/gpu", 0))}
        there |= {"TPU": float(worker.resources.limits.get("google.com/tpu", 0))}
        assert all(there[what] >= number for what, number in asked.items()), (asked, there)
        for pod in (workers.template.spec, job.spec.rayClusterSpec.headGroupSpec.template.spec):
            assert {mount.name for mount in pod.containers[0].volumeMounts} == {each.name for each in pod.volumes}


def test_a_pre_emption_is_met_in_each():
    (job,) = read("jobset-tpu-run.yaml").spec.replicatedJobs
    assert job.template.spec.podFailurePolicy.rules[0] == Rule("Ignore", ExitCodes("In", [75]))
    assert job.template.spec.template.spec.restartPolicy == "Never", "which rules for exit codes ask for"
    assert read("skypilot-sweep.yaml").resources.job_recovery.recover_on_exit_codes == [75]
    for name in ("slurm-sweep.sh", "slurm-run.sh"):
        text = (CLUSTER / name).read_text()
        assert "--requeue" in text and '[ "$status" = 75 ] && scontrol requeue "$SLURM_JOB_ID"' in text


@pytest.mark.parametrize("path", [path for path in FILES if path.suffix == ".sh"], ids=lambda path: path.name)
def test_scripts_are_shell(path):
    subprocess.run(["bash", "-n", str(path)], check=True)


def commands(text):
    """(module, flags) of each of our commands in a file."""
    joined = re.sub(r"\\\n\s*", " ", text)
    for found in re.finditer(r"python -m experiments\.(\w+)((?:\s+--\S*?(?:\"[^\"]*\"|\S)*)+)", joined):
        yield found[1], shlex.split(found[2])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_command_is_one_that_our_flags_read(path):
    found = [*commands(path.read_text())]
    assert found
    for module, given in found:
        sources = [(ROOT / "experiments" / f"{name}.py").read_text() for name in (module, "flagged", "cli")]
        known = set(HINTS) | set(re.findall(r"DEFINE_\w+\(\s*\"(\w+)\"", "".join(sources)))
        values = dict(flag.removeprefix("--").split("=", 1) for flag in given)
        assert values.keys() <= known, values.keys() - known
        fields = {
            name: HINTS[name](value) if HINTS[name] in (int, float) else value
            for name, value in values.items()
            if name in HINTS
        }
        resolve(fields, values.get("recipe", "paper"))
        if "grid" in values:
            parse_space(values["grid"])
        for name in ("random", "tpe", "seeds", "max_parallel", "retries"):
            assert int(values.get(name, 1)) > 0
