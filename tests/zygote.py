"""A process that has imported TensorFlow but not started it, and forks others that do: each starts in no time.

Run as a program it obeys lines of JSON on its standard input (see `main`); `Zygote` is the other end.
"""

import importlib
import json
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
IMPORTS = ("keras", "train_softmax", "train_tripletloss", "tf_facenet.training.fit", "tf_facenet.training.pretrained",
           "tf_facenet.training.triplet_trainer", "tf_facenet.training.distribution", "tf_facenet.data.prepare",
           "tf_facenet.data.drawn", "tf_facenet.inference.embedder", "tf_facenet.export", "tests.loops")
_RUNNING = set()  # pids of children that nobody has waited for


class Child:
    """A forked process.

    Attributes:
        pid: its number.
        output: path of what it prints.
    """

    def __init__(self, zygote, pid, output):
        self.zygote, self.pid, self.output = zygote, pid, output
        self.status = self.megabytes = None

    def kill(self, number):
        """Send a signal; the process is not there any more or has ended: nothing happens."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def poll(self):
        """Its exit status, minus the signal that it died of, or None while it lives."""
        return self._ask(False)

    def wait(self):
        """Its exit status when it has ended."""
        return self._ask(True)

    def text(self):
        """What it has printed."""
        return self.output.read_text(errors="replace")

    def _ask(self, block):
        if self.status is None:
            self.status, self.megabytes = self.zygote.ask("wait", self.pid, block)
        return self.status


class Zygote:
    """The other end of the program; a context."""

    def __init__(self):
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
                       "TF_NUM_INTRAOP_THREADS": "1", "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen([sys.executable, "-m", "tests.zygote"], cwd=ROOT, text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def __enter__(self):
        assert self.ask("threads") == 1  # a fork copies one thread only
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    def start(self, function, *arguments, output, **circumstances):
        """Fork a process that calls a function.

        Args:
            function: "module:name".
            *arguments: what JSON holds.
            output: file for what it prints.
            **circumstances: see `_circumstances`.

        Returns:
            `Child`.
        """
        return Child(self, self.ask("start", function, arguments, str(output), circumstances), output)

    def ask(self, *request):
        """The answer to a request, in JSON."""
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def main():
    """Answer "threads", "start" and "wait" until the input ends, also because the tests were killed."""
    for name in IMPORTS:
        importlib.import_module(name)
    answers = {"threads": lambda: len(os.listdir("/proc/self/task")), "start": _start, "wait": _wait}
    for line in sys.stdin:
        request, *arguments = json.loads(line)
        sys.stdout.write(json.dumps(answers[request](*arguments)) + "\n")
        sys.stdout.flush()
    for pid in _RUNNING:
        os.kill(pid, signal.SIGKILL)


def _start(*request):
    pid = os.fork()
    if not pid:
        _call(*request)
    _RUNNING.add(pid)
    return pid


def _call(function, arguments, output, circumstances):
    """Do what was asked for as a command does, and end the process."""
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    _circumstances(**circumstances)
    module, _, name = function.partition(":")
    called = getattr(importlib.import_module(module), name)
    from tf_facenet import config

    sys.argv = [sys.modules[module].__file__, *map(str, arguments)]
    config.run(lambda: called(*arguments))


def _circumstances(file_size=None, slow_disk=0.0):
    """What a process lives under: the largest file that it may write, and up to how many seconds a disk takes."""
    if file_size:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))
    if slow_disk:
        from tf_facenet import files

        sync = files._sync

        def slow(path):
            time.sleep(random.uniform(0, slow_disk))
            sync(path)

        files._sync = slow


def _wait(pid, block):
    found, status, usage = os.wait4(pid, 0 if block else os.WNOHANG)
    _RUNNING.discard(found)
    return (os.waitstatus_to_exitcode(status), usage.ru_maxrss // 1024) if found else (None, None)


if __name__ == "__main__":
    main()
