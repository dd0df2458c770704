"""Which processes train together, and which of them this one is: from flags, TF_CONFIG or SLURM.

Nothing here needs TensorFlow. Worker 0, the chief, writes the run folder.
"""

import dataclasses
import itertools
import json
import logging
import os
import re

logger = logging.getLogger(__name__)

SLURM_PORT = 12345  # of the first process of a machine, the next has the next port
TRAINING = ("chief", "worker")  # the jobs of TF_CONFIG that train
OTHERS = ("ps", "evaluator")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The processes of one training.

    Attributes:
        addresses: "host:port" of each, the chief's first.
        index: which of them this process is, from 0.
    """

    addresses: tuple
    index: int

    def __post_init__(self):
        for address in self.addresses:
            split_address(address)
        twice = [address for address in self.addresses if self.addresses.count(address) > 1]
        if twice:
            raise ValueError(f"{twice[0]} stands twice among the workers {', '.join(self.addresses)}; each process "
                             "needs a port of its own")
        if not 0 <= self.index < len(self.addresses):
            raise ValueError(f"this is worker {self.index}, but there are {len(self.addresses)} workers "
                             f"({', '.join(self.addresses)}); expected 0 to {len(self.addresses) - 1}")

    @property
    def address(self):
        """This process's own."""
        return self.addresses[self.index]

    @property
    def is_chief(self):
        """Whether this process writes the run folder."""
        return self.index == 0


def find(options, environment=os.environ):
    """The cluster that this process belongs to.

    Flags count first, then TF_CONFIG. SLURM's variables are looked at only with ``--strategy multiworker``: they are
    also set in a shell that was merely allotted several tasks.

    Args:
        options: `options.run.DeviceOptions`.
        environment: dict of the environment variables.

    Returns:
        `Cluster`, or None if this process trains alone.

    Raises:
        ValueError: the description is wrong, or missing and asked for.
    """
    if options.strategy in ("none", "mirrored"):
        return None
    if options.workers:
        cluster = from_flags(options.workers, options.worker_index)
    elif environment.get("TF_CONFIG"):
        cluster = from_tf_config(environment["TF_CONFIG"])
    elif options.strategy != "multiworker":
        return None
    elif "SLURM_PROCID" in environment:
        cluster = from_slurm(environment)
    else:
        raise ValueError("--strategy multiworker does not know the workers: give --workers host:port,host:port and "
                         "--worker_index, or set TF_CONFIG, or start the processes with srun")
    return cluster if len(cluster.addresses) > 1 else None


def from_flags(workers, index):
    """`Cluster` of ``--workers`` and ``--worker_index``."""
    return Cluster(tuple(address.strip() for address in workers.split(",")), index)


def from_tf_config(text):
    """`Cluster` of the variable TF_CONFIG, as TensorFlow and Kubernetes' TFJob write it.

    The chief, if there is one, comes before the workers. Parameter servers and evaluators take no part.

    Raises:
        ValueError: it is malformed, or this process is none of those that train.
    """
    try:
        config = json.loads(text)
        jobs = {job: list(addresses) for job, addresses in config["cluster"].items()}
        kind, index = config["task"]["type"], int(config["task"]["index"])
    except (json.JSONDecodeError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"TF_CONFIG is {text!r:.200} ({type(error).__name__}: {error}); expected "
                         '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}'
                         ) from None
    if kind not in TRAINING:
        raise ValueError(f"TF_CONFIG makes this process a {kind!r}, which has nothing to do here: only "
                         f"{' and '.join(TRAINING)} train. Leave it out of the job")
    count = len(jobs.get(kind, ()))
    if not 0 <= index < count:
        raise ValueError(f"TF_CONFIG makes this process {kind} {index}, but its cluster has {count} of those; expected "
                         f"an index from 0 to {count - 1}")
    for job in OTHERS:
        if jobs.get(job):
            logger.warning("TF_CONFIG names %d %s: they are not used", len(jobs[job]), job)
    before = len(jobs.get("chief", ())) if kind == "worker" else 0
    return Cluster(tuple(itertools.chain(*(jobs.get(job, ()) for job in TRAINING))), before + index)


def from_slurm(environment):
    """`Cluster` of the variables that srun sets: the tasks of the first machine, then those of the next.

    Raises:
        ValueError: a variable is missing or does not fit the others.
    """
    hosts = expand_hosts(_first(environment, "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"))
    total, index = int(_first(environment, "SLURM_NTASKS")), int(_first(environment, "SLURM_PROCID"))
    described = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment.get("SLURM_TASKS_PER_NODE")
    counts = _tasks_per_node(described) if described else [total // len(hosts)] * len(hosts)
    if len(counts) != len(hosts) or sum(counts) != total:
        raise ValueError(f"SLURM's variables disagree: {total} tasks, but {counts} on the machines {', '.join(hosts)}. "
                         "Give --workers and --worker_index instead")
    places = [(host, local) for host, count in zip(hosts, counts, strict=True) for local in range(count)]
    local = environment.get("SLURM_LOCALID")
    if local and 0 <= index < total and int(local) != places[index][1]:
        raise ValueError(f"SLURM's task {index} is number {local} of its machine, expected {places[index][1]}: start "
                         "with srun --distribution=block")
    return Cluster(tuple(f"{host}:{SLURM_PORT + local}" for host, local in places), index)


def expand_hosts(text):
    """SLURM's list of machines, written out.

    >>> expand_hosts("n[001-003,7],login")
    ['n001', 'n002', 'n003', 'n7', 'login']
    """
    hosts = []
    for part in re.split(r",(?![^\[]*\])", text):
        pieces = re.split(r"\[([^\]]*)\]", part)  # text, inside of brackets, text …
        choices = [[piece] if place % 2 == 0 else _numbers(piece) for place, piece in enumerate(pieces)]
        hosts += ["".join(chosen) for chosen in itertools.product(*choices)]
    return hosts


def _numbers(text):
    numbers = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        if not (first.isdigit() and (last or first).isdigit()):
            raise ValueError(f"SLURM's list of machines has [{text}]; expected numbers and ranges such as [001-003,7]")
        numbers += [f"{number:0{len(first)}d}" for number in range(int(first), int(last or first) + 1)]
    return numbers


def _tasks_per_node(text):
    """``2(x3),1`` → [2, 2, 2, 1]."""
    matches = [re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part) for part in text.split(",")]
    if not all(matches):
        raise ValueError(f"SLURM's tasks per machine are {text!r}; expected a list such as 2(x3),1")
    return [int(match[1]) for match in matches for _ in range(int(match[2] or 1))]


def _first(environment, *names):
    for name in names:
        if environment.get(name):
            return environment[name]
    raise ValueError(f"SLURM's variable {names[0]} is not set; start the processes with srun, or give --workers and "
                     "--worker_index")


def split_address(address):
    """``host:port`` → ``(host, port)``; IPv6 hosts stand in brackets.

    Raises:
        ValueError: it is something else.
    """
    host, _, port = str(address).rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"worker {address!r} is no address; expected host:port, such as 10.0.0.1:12345")
    return host.strip("[]"), int(port)
