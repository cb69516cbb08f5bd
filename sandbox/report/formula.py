"""A formula as data: arithmetic on named numbers, read as a tree and never run as code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sandbox.core.error import ConfigError, did_you_mean, explain

OPERATORS: dict[type, Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt, "tanh": np.tanh, "abs": abs}


def evaluate(formula: str, names: Mapping[str, Any]) -> Any:
    """The value of `formula`: numbers, `names` (dotted ones too), + - * / **, `x if y else z` (z where y is 0), and the
    functions exp, log, sqrt, tanh and abs. Raises `ConfigError` for anything else."""

    def look_up(name: str) -> Any:
        if name not in names:
            raise ConfigError(explain(expected=f"a known number in '{formula}'", got=f"'{name}'",
                                      do=did_you_mean(name, names)))  # fmt: skip
        return names[name]

    return _value(formula, look_up)


def variables(formula: str) -> list[str]:
    """The names that a formula stands on; raises `ConfigError` where it is none."""
    found: dict[str, None] = {}

    def look_up(name: str) -> float:
        found[name] = None
        return 1.0

    _value(formula, look_up)
    return list(found)


def _value(formula: str, look_up: Callable[[str], Any]) -> Any:
    def wrong(got: str) -> ConfigError:
        return ConfigError(explain(expected=f"arithmetic on names and numbers in '{formula}'", got=f"'{got}'",
                                   do="Known: + - * / **, x if y else z, exp, log, sqrt, tanh, abs."))  # fmt: skip

    def value(node: ast.AST) -> Any:
        match node:
            case ast.Constant(int() | float() as number) if not isinstance(number, bool):
                return np.float64(number)
            case ast.Name() | ast.Attribute():
                return np.asarray(look_up(ast.unparse(node)), np.float64)
            case ast.BinOp(left, op, right) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(left), value(right))
            case ast.UnaryOp(op, operand) if type(op) in OPERATORS:
                return OPERATORS[type(op)](value(operand))
            case ast.IfExp(test, body, orelse):
                return np.where(value(test) != 0, value(body), value(orelse))
            case ast.Call(ast.Name(name), [argument], []) if name in FUNCTIONS:
                return FUNCTIONS[name](value(argument))
        raise wrong(ast.unparse(node))

    try:
        tree = ast.parse(formula, mode="eval").body
    except SyntaxError as error:
        raise wrong(str(error)) from error
    with np.errstate(all="ignore"):
        return value(tree)
