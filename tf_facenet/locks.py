"""Locks between processes: a file that one process at a time has.

The file stays and says nothing. Other machines see the lock where the file system passes locks on, as NFS 4 does; a
file system that knows no locks (ENOLCK, ENOTSUP), or Windows, gives it to everybody.
"""

import contextlib
import errno
import logging
import os

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_held = {}  # path → handle of a file that is locked, open as long as the process lives
_TAKEN = (errno.EACCES, errno.EAGAIN)

logger = logging.getLogger(__name__)


def lock(path):
    """Take a lock that lasts as long as this process, however it ends; what it has already, it may take again.

    Returns:
        Whether no other process has it.

    Raises:
        OSError: the file cannot be made.
    """
    path = os.path.realpath(path)
    if path in _held or fcntl is None:
        return True
    handle = _open(path)
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        return error.errno not in _TAKEN
    _held[path] = handle
    return True


@contextlib.contextmanager
def locked(path):
    """Hold a lock for the length of a block, after whoever has it, another thread too; a log line says that it waits.

    Raises:
        OSError: the file cannot be made.
    """
    handle = _open(path)
    try:
        if fcntl:
            _wait(handle, path)
        yield
    finally:
        os.close(handle)  # which gives it back


def _open(path):
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o644)  # which no child inherits (PEP 446)


def _wait(handle, path):
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN:
            logger.info("Waiting for another process that writes %s", os.path.dirname(path))
            fcntl.flock(handle, fcntl.LOCK_EX)
