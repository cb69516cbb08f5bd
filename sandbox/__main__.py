"""The command line: launch runs and sweeps through Hydra; report, replay and check what they left."""

from __future__ import annotations

import sys
from importlib.metadata import version

from sandbox.core.error import did_you_mean
from sandbox.launch import check, launch, replay, report

COMMANDS = {"report": report, "replay": replay, "check": check}
FIRST_LIGHT = ("fixed", "best_constant", "process", "own", "own_gated", "own_scale", "process_yoked",
               "process_mean_course", "own_yoked", "merge_fixed", "merge_panel")  # fmt: skip


def main() -> int:
    """`sandbox` alone is the default experiment: an ordinary sweep over its arms, with a report at its end."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    if not arguments:
        failed = launch(["-m", "experiment=" + ",".join(f"first_light/{arm}" for arm in FIRST_LIGHT)])
        return report([]) or failed
    if arguments == ["--version"]:
        print(f"sandbox {version('reflective-sandbox')}")
        return 0
    if arguments[0].isalpha():
        print(f"no command '{arguments[0]}'. {did_you_mean(arguments[0], COMMANDS)}", file=sys.stderr)
        return 2
    return launch(arguments)


if __name__ == "__main__":
    sys.exit(main())
