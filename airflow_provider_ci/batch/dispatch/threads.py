"""How many threads may submit jobs at the same time."""

from __future__ import annotations

import logging
import resource
from pathlib import Path

log = logging.getLogger(__name__)

_SPARE_FILES = 20
"""Number of open files that a run needs besides one connection per thread."""


def threads_that_fit(wanted: int) -> int:
    """The number of threads, at most ``wanted``, for which this process may open connections.

    :raises OSError: the limit of open files is too low for even one thread.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    try:
        used = len(list(Path("/proc/self/fd").iterdir()))
    except OSError:
        # Only Linux has that folder. Elsewhere this is a guess for a process without other connections.
        used = 10
    room = soft - used - _SPARE_FILES
    if room < 1:
        raise OSError(
            f"the limit of open files (RLIMIT_NOFILE, ulimit -n) is {soft}, of which {used} are in use; a "
            f"batch needs at least {used + _SPARE_FILES + 1}. Raise the limit and run the batch again; "
            "nothing was submitted"
        )
    if room < wanted:
        log.warning("%d instead of %d threads, because of the limit of %d open files", room, wanted, soft)
    return min(wanted, room)
