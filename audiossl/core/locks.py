"""Locks on open files, between processes: given up when the file is closed, and by the system when their holder dies.

portalocker has them on every system. It is imported late, since it takes longer than all else that a start needs.
"""

from __future__ import annotations

from typing import IO, Any


def lock_file(file: IO[Any], *, shared: bool = False) -> None:
    """Wait for an open file's lock. Raises OSError where the disk or the system has no locks.

    file: any file that is open for as long as the lock is wanted.
    shared: a lock that others may share, while nobody has an exclusive one.
    """
    import portalocker

    _acquire(file, portalocker.LockFlags.SHARED if shared else portalocker.LockFlags.EXCLUSIVE)


def try_lock_file(file: IO[Any], *, shared: bool = False) -> bool:
    """Take an open file's lock. False where somebody holds one that excludes it. Raises OSError as above."""
    import portalocker

    kind = portalocker.LockFlags.SHARED if shared else portalocker.LockFlags.EXCLUSIVE
    try:
        _acquire(file, kind | portalocker.LockFlags.NON_BLOCKING)
    except portalocker.AlreadyLocked:
        return False
    return True


def _acquire(file: IO[Any], flags: Any) -> None:
    import portalocker

    try:
        portalocker.lock(file, flags)
    except portalocker.AlreadyLocked:
        raise
    except portalocker.LockException as error:  # no OSError, unlike what it was made from
        cause = error.__cause__
        raise (cause if isinstance(cause, OSError) else OSError(f"it cannot be locked ({error})")) from error
