"""What is searched over: words in Hydra's grammar for sweeps, and from a trial's numbers back to words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from sandbox.core.error import ConfigError, explain
from sandbox.lines.launch import key_of

GRAMMAR = "rule.lr=interval(0.001,1), tag(log,interval(0.001,1)), int(interval(1,8)), range(1,8), or a,b,c"


@dataclass(frozen=True)
class Numbers:
    """Any number from `low` to `high`, whole ones `step` apart where they are `whole`; `log`: drawn by magnitude."""

    low: float
    high: float
    whole: bool = False
    log: bool = False
    step: float | None = None

    def ask(self, trial: Any, name: str) -> str:
        if self.whole:
            return str(trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log))
        return repr(trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log))

    def some(self) -> str:
        return str(int(self.low)) if self.whole else repr(self.low)


@dataclass(frozen=True)
class Choice:
    """One of several words."""

    words: tuple[str, ...]

    def ask(self, trial: Any, name: str) -> str:
        return trial.suggest_categorical(name, self.words)

    def some(self) -> str:
        return self.words[0]


@dataclass(frozen=True)
class Space:
    """`fixed`: the words that all trials share; `axes`: what is searched over, by its key as it was typed (`rule.lr`,
    `++rule.lr`); `said`: those words as they were typed."""

    fixed: tuple[str, ...]
    axes: Mapping[str, Numbers | Choice]
    said: tuple[str, ...]

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key_of(key) for key in self.axes)


def space_of(words: Sequence[str], loader: Any = None) -> Space:
    """The space that these words name; `loader`: Hydra's, which knows what `glob` stands for. Raises `ConfigError`
    where they name none, or one that can't be searched."""
    try:
        parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(words))
        swept = {one.get_key_element(): one for one in parsed if one.is_sweep_override()}
        axes = {key: _axis(one, one.input_line or key) for key, one in swept.items()}
    except HydraException as error:
        raise ConfigError(str(error)) from error
    if not axes:
        raise ConfigError(explain(expected="something to search over", got="words of one run", do=f"Say {GRAMMAR}."))
    for key in axes:
        if key_of(key) in ("seed", "seeds", "steps", "label"):
            raise ConfigError(explain(expected=f"one {key_of(key)} for all trials", got=swept[key].input_line or key,
                                      do="Set seeds=5, say: each trial is scored by its mean over them."))  # fmt: skip
    fixed = [one.input_line or "" for one in parsed if one.get_key_element() not in axes]
    return Space(tuple(fixed), axes, tuple(one.input_line or "" for one in swept.values()))


def _axis(word: Override, said: str) -> Numbers | Choice:
    value: Any = word._value
    if isinstance(value, IntervalSweep):
        low, high = value.start, value.end
        assert low is not None
        assert high is not None
        log = "log" in value.tags
        if low >= high or (log and low <= 0):
            raise ConfigError(explain(expected=f"an interval{' above 0' if log else ''}, its lower end first",
                                      got=f"'{said}'", do=f"Say {GRAMMAR}."))  # fmt: skip
        return Numbers(low, high, whole=isinstance(low, int) and isinstance(high, int), log=log)
    if isinstance(value, RangeSweep | ChoiceSweep):
        value.shuffle = False  # the order is the sampler's affair
    there = list(word.sweep_string_iterator())
    if not there:
        raise ConfigError(explain(expected=f"something to search over at {word.key_or_group}",
                                  got=f"'{said}', which stands for nothing", do=f"Say {GRAMMAR}."))  # fmt: skip
    if isinstance(value, RangeSweep) and len(there) > 1:
        numbers = sorted(map(float, there))
        whole = all(one.lstrip("-").isdigit() for one in there)
        if whole:
            return Numbers(numbers[0], numbers[-1], whole=True, step=numbers[1] - numbers[0])
    return Choice(tuple(dict.fromkeys(there)))
