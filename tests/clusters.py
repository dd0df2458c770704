"""Several processes that train together on this machine."""

import signal
import time


def finish(processes, seconds=500):
    """(exit status, output) of each `Child`; those that do not end in time are killed."""
    deadline = time.monotonic() + seconds
    while any([process.poll() is None for process in processes]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for process in processes:
        process.kill(signal.SIGKILL)
    return [(process.wait(), process.text()) for process in processes]
