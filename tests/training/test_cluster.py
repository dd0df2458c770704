"""Which processes train together: flags, TF_CONFIG and SLURM's variables, and what is wrong with them."""

import json

import pytest

from tf_facenet.options import SoftmaxOptions
from tf_facenet.training import cluster
from tf_facenet.training.cluster import Cluster

TWO = ("10.0.0.1:2222", "10.0.0.2:2222")


def tf_config(jobs, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})}


def find(environment=None, **options):
    return cluster.find(SoftmaxOptions(**options), environment or {})


def test_flags():
    found = find(workers="10.0.0.1:2222, 10.0.0.2:2222", worker_index=1)
    assert found == Cluster(TWO, 1)
    assert (found.address, found.is_chief) == (TWO[1], False)


def test_flags_count_before_tf_config():
    assert find(tf_config({"worker": ["a:1", "b:1"]}, index=1), workers=",".join(TWO), worker_index=0).is_chief


@pytest.mark.parametrize(("jobs", "kind", "index", "expected"), [
    ({"worker": TWO}, "worker", 1, Cluster(TWO, 1)),
    ({"chief": [TWO[0]], "worker": [TWO[1]]}, "chief", 0, Cluster(TWO, 0)),
    ({"worker": [TWO[1]], "chief": [TWO[0]]}, "worker", 0, Cluster(TWO, 1)),
    ({"worker": TWO, "ps": ["10.0.0.3:2222"]}, "worker", 0, Cluster(TWO, 0)),
    ({"worker": [TWO[0]]}, "worker", 0, None)], ids=str)
def test_tf_config(jobs, kind, index, expected):
    assert find(tf_config(jobs, kind, index)) == expected


def test_parameter_servers_are_said_to_be_idle(caplog):
    find(tf_config({"worker": TWO, "ps": ["c:1", "d:1"], "evaluator": ["e:1"]}))
    assert [record.message for record in caplog.records] == [
        "TF_CONFIG names 2 ps: they are not used", "TF_CONFIG names 1 evaluator: they are not used"]


SLURM = {"SLURM_PROCID": "3", "SLURM_NTASKS": "5", "SLURM_STEP_NODELIST": "n[08-10]", "SLURM_LOCALID": "1",
         "SLURM_STEP_TASKS_PER_NODE": "2(x2),1"}


def test_slurm():
    assert find(SLURM, strategy="multiworker") == Cluster(
        ("n08:12345", "n08:12346", "n09:12345", "n09:12346", "n10:12345"), 3)


def test_slurm_counts_only_if_asked_for():
    """In a shell of salloc its variables are set, and nobody else is started."""
    assert find(SLURM) is None
    assert find(SLURM | tf_config({"worker": TWO}), strategy="mirrored") is None


def test_slurm_without_tasks_of_each_machine():
    environment = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_JOB_NODELIST": "a,b"}
    assert find(environment, strategy="multiworker") == Cluster(("a:12345", "b:12345"), 1)


@pytest.mark.parametrize(("text", "hosts"), [
    ("login", ["login"]), ("a,b-1", ["a", "b-1"]), ("n[001-003,7]", ["n001", "n002", "n003", "n7"]),
    ("n[9-11].cluster,x", ["n9.cluster", "n10.cluster", "n11.cluster", "x"]),
    ("r[1-2]n[1,3]", ["r1n1", "r1n3", "r2n1", "r2n3"])])
def test_lists_of_machines(text, hosts):
    assert cluster.expand_hosts(text) == hosts


@pytest.mark.parametrize(("environment", "options", "message"), [
    ({"TF_CONFIG": "{worker: a}"}, {}, "TF_CONFIG is '{worker: a}' (JSONDecodeError: "),
    ({"TF_CONFIG": '{"task": {"type": "worker", "index": 0}}'}, {}, "TF_CONFIG is .*KeyError: 'cluster'"),
    ({"TF_CONFIG": "[1]"}, {}, "TF_CONFIG is .*TypeError"),
    ({"TF_CONFIG": '{"cluster": {"worker": 3}, "task": {"type": "worker", "index": 0}}'}, {}, "expected {.cluster"),
    (tf_config({"worker": TWO}, index=2), {}, "this process worker 2, but its cluster has 2 of those; .* from 0 to 1"),
    (tf_config({"worker": TWO, "ps": ["c:1"]}, "ps"), {}, "a 'ps', which has nothing to do here: only chief and"),
    (tf_config({"worker": ["a", "b:1"]}), {}, "worker 'a' is no address; expected host:port"),
    ({}, {"strategy": "multiworker"}, "--strategy multiworker does not know the workers: give --workers"),
    ({}, {"workers": "a:1,b:1", "worker_index": 2}, r"this is worker 2, but there are 2 workers \(a:1, b:1\); exp"),
    ({}, {"workers": "a:1,a:1", "worker_index": 0}, "a:1 stands twice among the workers"),
    ({}, {"workers": "a:1,b:99999", "worker_index": 0}, "worker 'b:99999' is no address"),
    ({}, {"workers": "a:1,b:1"}, "--workers and --worker_index belong together"),
    ({}, {"worker_index": 1}, "--workers and --worker_index belong together"),
    ({}, {"workers": "a:1,b:1", "worker_index": 0, "strategy": "mirrored"}, "--workers need --strategy multiworker"),
    (SLURM | {"SLURM_NTASKS": "6"}, {"strategy": "multiworker"}, "SLURM's variables disagree: 6 tasks, but .2, 2, 1."),
    (SLURM | {"SLURM_LOCALID": "0"}, {"strategy": "multiworker"}, "srun --distribution=block"),
    (SLURM | {"SLURM_STEP_NODELIST": "n[a-c]"}, {"strategy": "multiworker"}, "SLURM's list of machines has .a-c."),
    (SLURM | {"SLURM_STEP_TASKS_PER_NODE": "x"}, {"strategy": "multiworker"}, "SLURM's tasks per machine are 'x'"),
    ({"SLURM_PROCID": "0"}, {"strategy": "multiworker"}, "SLURM's variable SLURM_STEP_NODELIST is not set")], ids=str)
def test_bad_descriptions(environment, options, message):
    with pytest.raises(ValueError, match=message.replace("(JSON", r"\(JSON").replace("{worker: a}", r"\{worker: a\}")
                       .replace("{.cluster", r"\{.cluster")):
        find(environment, **options)
