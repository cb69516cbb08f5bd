"""The commands beside a run: what there is, what a configuration says, a new member, whether one keeps its laws."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox.arguments import apart, is_setting, runs_of, with_trust
from sandbox.core.error import SandboxError
from sandbox.sweep.launch import launch
from sandbox.sweep.launch import report as report

USAGE = {
    "list": "sandbox list [GROUP] [--json] [--config-dir DIR]: every member, where it is from and what it needs",
    "show": "sandbox show WORDS…: the configuration that they compose, each value with where it comes from",
    "new": "sandbox new meta-learner|rule|task|model|gate|meter|package NAME [--into DIR]: a class, its file, its test",
    "check": "sandbox check GROUP=NAME [WORDS…]: whether a member keeps the laws of its seam; of a gate, its A/A table",
    "eval": "sandbox eval RUN… [horizon=10 | horizon=1,5,10] [tasks=600] [task.FIELD=VALUE]… [bound=100] [force=true] "
    "[--seeds] [--json [FILE]] [--trust PACKAGE]…: score runs that are there after so many inner steps, on new tasks",
    "ls": "sandbox ls [SWEEP…] [runs=DIR] [--json]: every sweep, or its jobs: state, progress, time left, headlines, "
    "and why one failed",
    "resume": "sandbox resume [SWEEP] [WORDS…] [runs=DIR]: give its command again: what is finished is skipped, what "
    "was begun goes on from its checkpoint (default: the newest sweep with something left)",
    "rerun": "sandbox rerun RUN… [--trust PACKAGE]…: run again from the folder alone, anew where it is finished (what "
    "it had is kept in past/), else from its checkpoint",
    "rm": "sandbox rm RUN|SWEEP… [--state failed,killed] [runs=DIR] [--yes]: tell what would be removed, and with "
    "--yes remove it",
    "search": "sandbox search WORDS… KEY=interval(LOW,HIGH) [KEY=tag(log,interval(LOW,HIGH)) | KEY=a,b,c]… [trials=20] "
    "[n_jobs=N] [sampler=tpe|random] [against=random|null] [sampler_seed=0] [objective=READING] "
    "[direction=minimize|maximize] [prune=READING] [held_out=8] [sweep=NAME]: look for the best values of these keys",
    "claims": "sandbox claims [LETTER…] [--fast] [--ablations] [--json FILE] [--page FOLDER] [runs=runs/claims] "
    "[n_jobs=N]: try the essay's claims by the criteria in conf/claim; one table, and a page with a picture each",
    "replay": "sandbox replay RUN… [--trust PACKAGE]…: execute a run again, and compare every line",
    "mirror": "sandbox mirror RUN… [--online | --offline] [--means] [project=NAME] [by_seed=true] …: make or mend the "
    "W&B run of each from its folder, or with --means one for all that differ by their seeds alone; every field of "
    "tracker=wandb can be set",
    "dashboard": "sandbox dashboard show|push [RUN…] [project=NAME] [entity=NAME]: a W&B workspace and report of runs",
}

COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {"report": report}


def _command(name: str) -> Callable[[Callable[[Sequence[str]], int]], Callable[[Sequence[str]], int]]:
    """Help where it is asked for, and errors in one line."""

    def around(body: Callable[[Sequence[str]], int]) -> Callable[[Sequence[str]], int]:
        def command(arguments: Sequence[str]) -> int:
            if {"-h", "--help"} & set(arguments):
                print(USAGE[name])
                return 0
            try:
                return body(arguments)
            except SandboxError as error:
                return _tell(str(error))

        COMMANDS[name] = command
        return command

    return around


def _tell(message: str, code: int = 2) -> int:
    print(message, file=sys.stderr)
    return code


@_command("list")
def list_(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.listing import list_members
    from sandbox.places import broken

    words, flags = apart(arguments, ("--config-dir",))
    if len(words) > 1 or set(flags) - {"--json", "--config-dir"}:
        return _tell(USAGE["list"])
    print(list_members(words[0] if words else None, arguments, as_json="--json" in flags))
    for sentence in broken():
        print(sentence, file=sys.stderr)
    return 0


@_command("show")
def show(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.origins import show as shown

    text, wrong = shown(arguments)
    print(text)
    return _tell(wrong) if wrong else 0


@_command("new")
def new(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.starter import begin

    words, flags = apart(arguments, ("--into",))
    if len(words) != 2 or set(flags) - {"--into"}:
        return _tell(USAGE["new"])
    files, then = begin(words[0], words[1], Path(flags.get("--into", ".")))
    for file in files:
        print(file)
    print(f"\nNow: {then}")
    return 0


@_command("check")
def check(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.compose import bare, composed
    from sandbox.stage import KINDS

    words = bare(arguments)
    group = words[0].partition("=")[0].removesuffix("._target_") if words else ""
    code = _laws(words) if group in KINDS else 0
    if code or group in {*KINDS} - {"gate"}:
        return code
    from sandbox.check import main

    return main(composed(words))


def _laws(arguments: Sequence[str]) -> int:
    """The contract suite of the member that the first word names; 1 where a law is broken."""
    from sandbox.laws import examined
    from sandbox.proof import findings, stage

    on, broken = stage(*arguments), 0
    for finding in findings(on):
        print(f"{'BROKEN' if finding.said else 'kept  '}  {finding.law.name:14}  {finding.said or finding.law.says}",
              flush=True)  # fmt: skip
        broken += bool(finding.said)
    for found in examined(on) if on.group == "model" and not broken else ():
        print(f"        {found.law}: {found.measured}")
    return 1 if broken else 0


@_command("search")
def search(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.sweep.search import SETTINGS

    if not arguments:
        return _tell(USAGE["search"])
    words = [f"hydra.sweeper.{word}" if word.partition("=")[0] in SETTINGS else word for word in arguments]
    more = [f"hydra.launcher.{word}" for word in arguments if word.startswith("n_jobs=")]
    default = not any(word.startswith("hydra/launcher=") for word in arguments)
    return launch(["-m", "hydra/sweeper=search", *words, *(more if default else [])])


@_command("claims")
def claims(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.claims.command import claims as tried

    words, flags = apart(arguments, ("--json", "--page", "--config-dir"))
    given = dict(word.split("=", 1) for word in words if "=" in word)
    known = {"--fast", "--ablations", "--json", "--page", "--config-dir"}
    whole = given.get("n_jobs", "1").isdecimal() and all(flags.get(flag, "x") for flag in ("--json", "--page"))
    if set(flags) - known or set(given) - {"runs", "n_jobs"} or not whole:
        return _tell(USAGE["claims"])
    try:
        letters = [word for word in words if "=" not in word]
        said = ["sandbox claims", *letters, *(flag for flag in flags if flag in ("--fast", "--ablations"))]
        return tried(letters, fast="--fast" in flags,
                     ablations="--ablations" in flags, runs=Path(given.get("runs", "runs/claims")),
                     page=Path(flags["--page"]) if "--page" in flags else None,
                     as_json=Path(flags["--json"]) if "--json" in flags else None,
                     command=" ".join(said),
                     jobs=int(given["n_jobs"]) if "n_jobs" in given else None,
                     words=["--config-dir", flags["--config-dir"]] if "--config-dir" in flags else [])  # fmt: skip
    except KeyboardInterrupt:
        return _tell("Interrupted; the same command goes on where it was.", code=130)


@_command("replay")
def replay(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.replay import replay as again

    names, trust = with_trust(arguments)
    if not names:
        return _tell(f"expected a run folder; got nothing. Name a folder under runs/: {USAGE['replay']}")
    for name in (
        names if len(names) == 1 else [name for name in names if Path(name).name not in ("launches", "reports")]
    ):
        print(f"{name}: {again(Path(name), trust=trust)} lines replay to the same digests")
    return 0


@_command("eval")
def eval_(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.scoresheet import evaluated

    rest, trust = with_trust(arguments)
    words, flags = apart(rest, ("--json",))
    if set(flags) - {"--json", "--seeds"}:
        return _tell(USAGE["eval"])
    return evaluated(words, trust=trust, as_json=flags.get("--json"), seeds="--seeds" in flags)


@_command("mirror")
def mirror(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.mirror.command import means
    from sandbox.mirror.command import mirror as mirrored

    words, flags = apart(arguments, ())
    modes = [flag.removeprefix("--") for flag in flags if flag != "--means"]
    if len(modes) > 1 or set(modes) - {"online", "offline"}:
        return _tell(USAGE["mirror"])
    settings = [word for word in words if is_setting(word)]
    made = means if "--means" in flags else mirrored
    return made([word for word in words if word not in settings], settings, next(iter(modes), None))


@_command("dashboard")
def dashboard(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.mirror.command import dashboard as done

    words, flags = apart(arguments, ())
    if flags or not words or words[0] not in ("show", "push"):
        return _tell(USAGE["dashboard"])
    settings = [word for word in words[1:] if is_setting(word)]
    return done(words[0], [word for word in words[1:] if word not in settings], settings)


@_command("ls")
def ls(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.report.shelf import ls as shelf

    names, flags = apart(arguments, ("--runs",))
    if set(flags) - {"--runs", "--json"}:
        return _tell(USAGE["ls"])
    return shelf(runs_of(names, flags), [name for name in names if "=" not in name], as_json="--json" in flags)


@_command("resume")
def resume(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.sweep.again import resume as again

    words, flags = apart(arguments, ("--runs",))
    names = [word for word in words if "=" not in word]
    if len(names) > 1 or set(flags) - {"--runs"}:
        return _tell(USAGE["resume"])
    return again(runs_of(words, flags), names[0] if names else None, [word for word in words if "=" in word])


@_command("rerun")
def rerun(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.sweep.again import rerun as again

    names, trust = with_trust(arguments)
    if not names or any(name.startswith("-") for name in names):
        return _tell(USAGE["rerun"])
    return again([Path(name) for name in names], trust=trust)


@_command("rm")
def rm(arguments: Sequence[str]) -> int:
    """See `USAGE`."""
    from sandbox.sweep.again import rm as remove

    names, flags = apart(arguments, ("--runs", "--state"))
    if not names or set(flags) - {"--runs", "--state", "--yes"}:
        return _tell(USAGE["rm"])
    states = [state for state in flags.get("--state", "").split(",") if state]
    chosen = [name for name in names if not name.startswith("runs=")]
    return remove(runs_of(names, flags), chosen, states=states, sure="--yes" in flags)
