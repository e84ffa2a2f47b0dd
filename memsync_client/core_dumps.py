"""Memory that is written nowhere when the process dies."""

from __future__ import annotations

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def forbid_core_dumps() -> None:
    """From now on this process leaves no core file, and on Linux is not dumpable either (prctl(2)): that holds where
    cores go to a program, which a limit of size does not stop, and keeps debuggers of the same user out.

    Programs that it starts are dumpable again, within the limit.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
