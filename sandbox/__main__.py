"""The command line: launch runs and sweeps through Hydra; report, replay and check what they left."""

from __future__ import annotations

import os
import sys
from importlib.metadata import version

from sandbox.commands import COMMANDS
from sandbox.core.error import ConfigError, did_you_mean
from sandbox.studies import unfold
from sandbox.sweep.launch import QUIET, launch


def main() -> int:
    """`sandbox study=NAME` is an ordinary sweep over the arms of a study, with a report at its end; `sandbox` alone is
    the default study."""
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    if arguments == ["--version"]:
        print(f"sandbox {version('reflective-sandbox')}")
        return 0
    if arguments and arguments[0].isalpha():
        print(f"no command '{arguments[0]}'. {did_you_mean(arguments[0], COMMANDS)}", file=sys.stderr)
        return 2
    if any(word.split("=")[0] in QUIET for word in arguments):
        return launch(arguments)
    try:
        arguments, whole = unfold(arguments)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 2
    return launch(arguments, reports=whole)


def entry() -> int:
    """`main`, quiet where whoever reads has gone (`sandbox … | head`)."""
    try:
        return main()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell tells SIGPIPE
    except OSError as error:  # a disk that is full or can't be written
        print(f"expected files that can be read and written; got {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(entry())
