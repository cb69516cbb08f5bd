"""How much memory a process holds, and whether it ended for want of it."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path

GIB = 2**30


class Memory:
    """What the kernel has counted so far of processes that it killed for want of memory. Linux tells; elsewhere nothing
    is known, and nothing is claimed."""

    def __init__(self) -> None:
        self.kills = _kills()

    def held(self, pid: int) -> int:
        """Bytes that a process holds now; 0 where that isn't known."""
        with suppress(OSError, ValueError, StopIteration):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return 0

    def why(self, code: int | None, most: int) -> str:
        """Why a process ended that had no chance to say so: in words, from its exit code and the most that it held."""
        if code is None or code >= 0:
            return f"its process ended with exit code {code}, and left no word"
        name = signal.Signals(-code).name if -code in {one.value for one in signal.Signals} else f"signal {-code}"
        held = f", holding {most / GIB:.2f} of {_all() / GIB:.1f} GiB when last looked at" if most else ""
        if -code != signal.SIGKILL:
            return f"killed by {name}{held}"
        kills, self.kills = self.kills, _kills()
        if self.kills > kills:
            said = f"out of memory, it seems: the kernel killed for want of it meanwhile{held}"
            return f"{said}. Run fewer jobs at a time (hydra.launcher.n_jobs=1)"
        return f"killed by {name}{held}; a kernel that runs out of memory does that"


def _all() -> int:
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemTotal:"))
    return 0


def _kills() -> int:
    """How many processes the kernel has killed for want of memory: in this process's group, or else on this machine."""
    with suppress(OSError, ValueError, IndexError):
        own = Path("/proc/self/cgroup").read_text().splitlines()[-1].rpartition(":")[2].strip("/")
        if own:
            return _count(Path("/sys/fs/cgroup") / own / "memory.events")
    with suppress(OSError, ValueError):
        return _count(Path("/proc/vmstat"))
    return 0


def _count(path: Path) -> int:
    return sum(int(line.split()[1]) for line in path.read_text().splitlines() if line.split()[0] == "oom_kill")
