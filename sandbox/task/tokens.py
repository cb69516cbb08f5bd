"""A text as token ids: characters, bytes or words, numbered from the commonest on."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from sandbox.core.error import ConfigError, explain

Unit = Literal["character", "byte", "word"]
OTHER = "�"  # how the token that stands for all rare ones is shown
WORD = re.compile(r"\w+|\s+|[^\w\s]+")


@dataclass(frozen=True)
class Corpus:
    """`ids` [N] int64; `words[id]` is a token as text; `digest`: the first 16 hex digits of the text's SHA-256."""

    ids: Tensor
    words: tuple[str, ...]
    digest: str


def corpus(file: str | None, unit: Unit, vocabulary: int) -> Corpus:
    """The tokens of a UTF-8 file, or of the text that comes with Python where `file` is None.

    Where the text has more than `vocabulary` different tokens, the rare ones share the last id. Raises `ConfigError`
    for a file that is not there, is empty or is no UTF-8.
    """
    if file is None:
        return _numbered(bundled(), unit, vocabulary)
    path = Path(file)
    try:
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigError(explain(expected="a readable text file at task.file", got=f"'{file}' ({error.strerror})",
                                  do="Name a file, from the working folder on or in full."))  from error  # fmt: skip
    except UnicodeDecodeError as error:
        raise ConfigError(explain(expected="UTF-8 text at task.file", got=f"'{file}' ({error.reason}, byte "
                                  f"{error.start})", do="Save it as UTF-8."))  from error  # fmt: skip
    if not text:
        raise ConfigError(explain(expected="a text at task.file", got=f"'{file}', which is empty",
                                  do="Name a file that says something."))  # fmt: skip
    return _numbered(text, unit, vocabulary)


def bundled() -> str:
    """The help topics of the running Python (`pydoc_data.topics`), in the order of their names. Every version of Python
    words them a little differently, so their digest is a part of what a run is made with."""
    from pydoc_data.topics import topics

    return "\n".join(topics[name] for name in sorted(topics))


def cut(text: str, unit: Unit) -> list[str]:
    """The tokens of a text, in its order; joined, words and characters are the text again."""
    if unit == "byte":
        return [chr(byte) for byte in text.encode("utf-8")]
    return WORD.findall(text) if unit == "word" else list(text)


@lru_cache(maxsize=4)
def _numbered(text: str, unit: Unit, vocabulary: int) -> Corpus:
    known, ids, counts = np.unique(np.array(cut(text, unit)), return_inverse=True, return_counts=True)
    order = np.lexsort((np.arange(len(known)), -counts))  # the commonest first, equals by the alphabet
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    words = [str(word) for word in known[order]]
    if len(words) > vocabulary:
        words = [*words[: vocabulary - 1], OTHER]
    found = torch.from_numpy(np.minimum(rank[ids], len(words) - 1).astype(np.int64))
    return Corpus(found, tuple(words), sha256(text.encode("utf-8")).hexdigest()[:16])
