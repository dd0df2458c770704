import io
import logging
import sys
import types

import pytest

from tf_facenet import progress, terminal
from tf_facenet.progress import Progress


class Clock:
    """A clock that the test turns by hand."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


class Stream(io.StringIO):
    """What is written, and whether it is a terminal."""

    terminal = True

    def isatty(self):
        return self.terminal

    def drawn(self):
        """What was written since the last call."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text


@pytest.fixture
def stderr(monkeypatch):
    """stderr, at first a terminal of 80 columns."""
    stream = Stream()
    for module in (progress, terminal):
        monkeypatch.setattr(module, "sys", types.SimpleNamespace(stderr=stream, stdout=sys.stdout))
    monkeypatch.setenv("COLUMNS", "80")
    return stream


def test_bar_with_rate_and_time_left(clock, stderr):
    with Progress(1000, "Embedding") as bar:
        clock.now += 2
        bar.update(250, "loss 1.5, cut")
        line = stderr.drawn()
        assert line == (
            "\rEmbedding [======                  ] 250/1000 25%, 125/s, 0:00:06 left  loss 1.")
        clock.now += 0.05
        bar.update(260)
        assert stderr.drawn() == ""  # too soon
        clock.now += 3600
        bar.update(500)
        assert "0.14/s, 1:00:02 left" in stderr.drawn()
        bar.update(1000)
        assert " 1000/1000 100%, 0.28/s   " in stderr.drawn()
    assert stderr.drawn() == "\n"


def test_lines_are_cut_to_the_width(clock, stderr):
    bar = Progress(10, "x" * 200)
    clock.now += 1
    bar.update(5)
    assert stderr.drawn() == "\r" + "x" * 79


def test_resumed_work_counts_only_what_is_new(clock, stderr):
    bar = Progress(100, "Training", start=80)
    clock.now += 10
    bar.update(90)
    assert " 90/100 90%, 1.00/s, 0:00:10 left" in stderr.drawn()


def test_plain_log_lines_without_a_terminal(clock, stderr, caplog):
    stderr.terminal = False
    caplog.set_level(logging.INFO)
    with Progress(1000, "Embedding") as bar:
        for done in range(100, 1001, 100):
            clock.now += 8
            bar.update(done)
    assert caplog.messages == [
        "Embedding 400/1000 40%, 12/s, 0:00:48 left",
        "Embedding 800/1000 80%, 12/s, 0:00:16 left",
        "Embedding 1000/1000 100%, 12/s",
    ]
    assert stderr.drawn() == ""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_quiet(clock, stderr, caplog, is_terminal):
    caplog.set_level(logging.INFO)
    stderr.terminal = is_terminal
    with Progress(2, "Embedding", quiet=True) as bar:
        clock.now += 100
        bar.update(2)
    assert stderr.drawn() == ""
    assert caplog.messages == []


def test_nothing_to_do(clock, stderr):
    Progress(0, "Embedding").update(0)
    assert " 0/0 100%, 0.00/s" in stderr.drawn()
