"""The file of a lineage: whole lines in order. Every reader leaves out a last line without its end, which was torn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sandbox.core.error import LineageError, explain
from sandbox.lines.format import known
from sandbox.lines.line import Line, Reader

LINEAGE = "lineage.jsonl"


def texts(folder: Path) -> tuple[list[bytes], bool]:
    """Each whole line as it stands in the file, and whether a torn one follows: its writer was killed. Raises
    `LineageError` where there is no file, or one of a newer format than is known."""
    path = folder / LINEAGE
    if not path.is_file():
        raise LineageError(explain(expected=f"a run folder with {LINEAGE}", got=str(folder),
                                   do="Name a folder under runs/."))  # fmt: skip
    known(folder)
    *whole, torn = path.read_bytes().split(b"\n")
    return whole, bool(torn)


def reached(folder: Path) -> int:
    """The last step of the top level, which is that of the first line; 0 where there is no line."""
    top = step = 0
    for line in read(folder, Reader(edits=False)) if (folder / LINEAGE).is_file() else ():
        top = top or line["level"]
        step = line["step"] if line["level"] == top else step
    return step


def read(folder: Path, reader: Reader | None = None) -> Iterator[Line]:
    """Every whole line, one at a time; `reader` remembers what later lines leave out. Raises `LineageError` naming the
    line that can't be read."""
    reader = reader or Reader()
    for number, text in enumerate(texts(folder)[0], start=1):
        try:
            yield reader.read(text)
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration, IndexError) as error:
            raise LineageError(explain(expected=f"a whole record on line {number} of {folder / LINEAGE}",
                                       got=f"{type(error).__name__}: {error}",
                                       do="The file was changed by hand, or its disk failed."))  from error  # fmt: skip
