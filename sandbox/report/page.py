"""`page.html`: one file that holds everything it shows, and loads nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

PARTS = files("sandbox.report") / "page_files"
SCRIPTS = ("state", "draw", "words", "hold", "panels", "labels", "glance", "string", "path", "edits", "tree",
           "programs", "parallel", "table", "refresh", "main")  # fmt: skip


def write_page(path: Path, title: str, document: Mapping[str, Any], *, refresh: float | None = None) -> int:
    """Write the page, whole or not at all; returns its size in bytes. `refresh`: seconds after which it loads itself
    again, None where it never does."""
    made = time.strftime("%Y-%m-%d %H:%M:%S")
    text = html(title, {**document, "title": title, "made": made, "refresh": refresh})
    half = path.with_name(f".{path.name}.half")
    half.write_text(text, encoding="utf-8")
    half.replace(path)
    return len(text.encode())


def html(title: str, document: Mapping[str, Any]) -> str:
    """The page's text. Whatever words the document holds, they stay data: none can end the element that holds them."""
    parts = {
        "title": escape(title),
        "style": _part("uplot/uPlot.min.css") + _part("page.css"),
        "plots": _part("uplot/uPlot.iife.min.js"),
        "licence": _part("uplot/LICENSE").replace("*/", ""),
        "script": "".join(_part(f"{name}.js") for name in SCRIPTS),
        "data": json.dumps(document, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c"),
    }
    pieces = _part("page.html").split("{{")
    filled = [f"{parts[key]}{rest}" for key, _, rest in (piece.partition("}}") for piece in pieces[1:])]
    return "".join([pieces[0], *filled])


def _part(name: str) -> str:
    return PARTS.joinpath(name).read_text(encoding="utf-8")
