"""What a meter says of each number that it reads, so that tables, figures and dashboards need know no meter by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Reading:
    """`name` is the key that the meter returns, "group/name"; one that ends in "/*" describes a family, such as
    "rule/*". `title` is what a figure calls it. `better` says which side is better, if either is. `range` is what it
    can reach (None: no bound). `null` names the reading that it must be set against. A `headline` stands in the table
    of every report; the others on request."""

    name: str
    title: str
    better: Literal["higher", "lower", ""] = ""
    unit: str = ""
    range: tuple[float | None, float | None] = (None, None)
    null: str = ""
    headline: bool = False
