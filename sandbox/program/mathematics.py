"""A program as a mathematician writes it: in one line of Unicode, or in LaTeX.

A value that is used twice and takes more than a few characters gets a letter of its own: "…, where a = …".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.program.program import CONSTANT, RESULT, Program, ancestors, name_of, number, slot_registers

SUM, NEGATIVE, PRODUCT, POWER, ATOM = range(1, 6)  # how tightly a text holds together
SHORT = 7  # characters of a text that may stand twice
LETTERS = "abcdfhijklnoqruxz"  # none of them an input, nor e

Template = tuple[str, int, tuple[int, ...]]
"""A text with a place for each operand, how tightly it holds together, and how tightly each operand must."""


@dataclass(frozen=True)
class Style:
    """How operators, products and the parts of a program are written. A pair of `bars` holds none itself, for bars
    within bars can't be told apart: `abs(…)` stands in their place. Empty: they may."""

    templates: Mapping[str, Template]
    product: str
    around: str
    where: str
    keeps: str
    between: str = ", "
    bars: str = "|"


UNICODE = Style(
    {
        "add": ("{} + {}", SUM, (SUM, SUM)),
        "sub": ("{} - {}", SUM, (SUM, PRODUCT)),
        "mul": ("{}·{}", PRODUCT, (PRODUCT, PRODUCT)),
        "div": ("{} / {}", PRODUCT, (PRODUCT, POWER)),
        "aq": ("{} / √(1 + {}²)", PRODUCT, (PRODUCT, ATOM)),
        "min": ("min({}, {})", ATOM, (0, 0)),
        "max": ("max({}, {})", ATOM, (0, 0)),
        "neg": ("-{}", NEGATIVE, (PRODUCT,)),
        "abs": ("|{}|", ATOM, (0,)),
        "square": ("{}²", POWER, (ATOM,)),
        "sqrt": ("√|{}|", POWER, (0,)),
        "log": ("ln|{}|", POWER, (0,)),
        "exp": ("e^({})", POWER, (0,)),
        "tanh": ("tanh({})", ATOM, (0,)),
        "sigmoid": ("σ({})", ATOM, (0,)),
        "softplus": ("softplus({})", ATOM, (0,)),
        "sign": ("sign({})", ATOM, (0,)),
        "where": ("({1} if {0} > 0 else {2})", ATOM, (0, 0, 0)),
        "clip": ("clip({}, {}, {})", ATOM, (0, 0, 0)),
        "softmax": ("softmax({})", ATOM, (0,)),
        "log_softmax": ("ln softmax({})", POWER, (0,)),
        "gather": ("{}[{}]", ATOM, (POWER, 0)),  # of each output alike: ln softmax(p)[y] is ln(softmax(p)[y])
        "one_hot": ("1[{}]", ATOM, (0, 0)),
        "mean_out": ("mean({})", ATOM, (0,)),
        "sum_out": ("Σ({})", ATOM, (0,)),
        "norm": ("‖{}‖", ATOM, (0,)),
        "dot": ("⟨{}, {}⟩", ATOM, (0, 0)),
        "cosine": ("cos({}, {})", ATOM, (0, 0)),
        "clip_by_norm": ("clip_by_norm({}, {})", ATOM, (0, 0)),
        "rms_normalise": ("rms_normalise({})", ATOM, (0,)),
    },
    product="·",
    around="({})",
    where=", where {}",
    keeps="; {} ← {}",
)

LATEX = Style(
    {
        "add": ("{} + {}", SUM, (SUM, SUM)),
        "sub": ("{} - {}", SUM, (SUM, PRODUCT)),
        "mul": (r"{} \, {}", PRODUCT, (PRODUCT, PRODUCT)),
        "div": (r"\frac{{{}}}{{{}}}", PRODUCT, (0, 0)),
        "aq": (r"\frac{{{}}}{{\sqrt{{1 + {}^2}}}}", PRODUCT, (0, ATOM)),
        "min": (r"\min({}, {})", ATOM, (0, 0)),
        "max": (r"\max({}, {})", ATOM, (0, 0)),
        "neg": ("-{}", NEGATIVE, (PRODUCT,)),
        "abs": (r"\left\lvert {} \right\rvert", ATOM, (0,)),
        "square": ("{}^2", POWER, (ATOM,)),
        "sqrt": (r"\sqrt{{\lvert {} \rvert}}", ATOM, (0,)),
        "log": (r"\ln \lvert {} \rvert", POWER, (0,)),
        "exp": (r"e^{{{}}}", POWER, (0,)),
        "tanh": (r"\tanh({})", ATOM, (0,)),
        "sigmoid": (r"\sigma({})", ATOM, (0,)),
        "softplus": (r"\operatorname{{softplus}}({})", ATOM, (0,)),
        "sign": (r"\operatorname{{sign}}({})", ATOM, (0,)),
        "where": (r"\begin{{cases}} {1} & {0} > 0 \\ {2} & \text{{else}} \end{{cases}}", SUM, (0, 0, 0)),
        "clip": (r"\operatorname{{clip}}({}, {}, {})", ATOM, (0, 0, 0)),
        "softmax": (r"\operatorname{{softmax}}({})", ATOM, (0,)),
        "log_softmax": (r"\ln \operatorname{{softmax}}({})", POWER, (0,)),
        "gather": ("{}_{{{}}}", ATOM, (POWER, 0)),
        "one_hot": (r"\mathbf{{1}}_{{{}}}", ATOM, (0, 0)),
        "mean_out": (r"\operatorname{{mean}}({})", ATOM, (0,)),
        "sum_out": (r"\sum({})", ATOM, (0,)),
        "norm": (r"\lVert {} \rVert", ATOM, (0,)),
        "dot": (r"\langle {}, {} \rangle", ATOM, (0, 0)),
        "cosine": (r"\cos({}, {})", ATOM, (0, 0)),
        "clip_by_norm": (r"\operatorname{{clip\_by\_norm}}({}, {})", ATOM, (0, 0)),
        "rms_normalise": (r"\operatorname{{rms\_normalise}}({})", ATOM, (0,)),
    },
    product=r" \, ",
    around=r"\left( {} \right)",
    where=r", \quad \text{{where }} {}",
    keeps=r", \quad {} \leftarrow {}",
    bars="",
)


def unicode(program: Program, digits: int = 0) -> str:
    """A valid program in one line, such as `|min(2, p - y)|`; what slots keep follows as `m ← …`. Numbers have so many
    significant `digits`, or all of them."""
    return rendered(program, UNICODE, digits)


def latex(program: Program, digits: int = 0) -> str:
    """A valid program in LaTeX, for mathematics mode."""
    return rendered(program, LATEX, digits)


def rendered(program: Program, style: Style, digits: int = 0) -> str:
    """A valid program in a style."""
    writer = _Writer(program, style, digits)
    slots = zip(program.form.slots, slot_registers(program.form), program.keeps, strict=True)
    said = writer.text(program.returns, 0)
    said += "".join(style.keeps.format(slot, writer.text(kept, 0)) for slot, own, kept in slots if kept != own)
    return said + (style.where.format(style.between.join(writer.shared)) if writer.shared else "")


class _Writer:
    """Registers as texts. `shared` are those that got letters, as equations, each behind what it uses."""

    def __init__(self, program: Program, style: Style, digits: int) -> None:
        self.program, self.style, self.digits = program, style, digits
        used = ancestors(program, *program.outputs)
        uses = [r for i, each in enumerate(program.code) if RESULT + i in used for r in each.operands]
        self.uses = Counter([*uses, *program.outputs])
        self.shared: list[str] = []
        self.letters: dict[int, str] = {}

    def text(self, register: int, least: int) -> str:
        """A value's text, in parentheses where it holds together less tightly than `least`."""
        said, tight = self._bare(register)
        return self.style.around.format(said) if tight < least else said

    def _bare(self, register: int) -> tuple[str, int]:
        if register < RESULT:
            said = self._named(register)
            return said, NEGATIVE if said.startswith("-") else ATOM
        if register not in self.letters:
            said, tight = self._applied(register)
            if self.uses[register] < 2 or len(said) <= SHORT or len(self.letters) == len(LETTERS):
                return said, tight
            self.letters[register] = LETTERS[len(self.letters)]
            self.shared.append(f"{self.letters[register]} = {said}")
        return self.letters[register], ATOM

    def _named(self, register: int) -> str:
        if register >= CONSTANT and self.digits:
            return number(float(f"{self.program.constants[register - CONSTANT]:.{self.digits}g}"))
        return name_of(self.program, register)

    def _applied(self, register: int) -> tuple[str, int]:
        each = self.program.code[register - RESULT]
        if each.operator == "ema":
            return self._mean(*each.operands), SUM
        template, tight, least = self.style.templates[each.operator]
        if each.operator in ("add", "sub"):
            said, how = self._bare(each.operands[1])
            if how == NEGATIVE:  # y - (-2·p) is y + 2·p
                sign = "-" if each.operator == "add" else "+"
                return f"{self.text(each.operands[0], SUM)} {sign} {said[1:]}", SUM
        if each.operator in ("mul", "div") and self._bare(each.operands[0])[1] == NEGATIVE:
            tight, least = NEGATIVE, (min(NEGATIVE, least[0]), *least[1:])
        operands = [self.text(operand, need) for operand, need in zip(each.operands, least, strict=True)]
        if self.style.bars and self.style.bars in template and any(self.style.bars in one for one in operands):
            template = template.replace("|{}|", "(abs({}))" if each.operator != "abs" else "abs({})")
        return template.format(*operands), tight

    def _mean(self, mean: int, value: int, keep: int) -> str:
        """keep · mean + (1 - keep) · value."""
        old, new, times = self.text(mean, PRODUCT), self.text(value, PRODUCT), self.style.product
        share = self.text(keep, PRODUCT)
        if CONSTANT <= keep < RESULT and 0 <= (exact := self.program.constants[keep - CONSTANT]) <= 1:
            take = number(float(f"{1 - exact:.{self.digits or 12}g}"))
        else:
            take = self.style.around.format(f"1 - {share}")
        return f"{share}{times}{old} + {take}{times}{new}"
