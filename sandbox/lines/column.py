"""A column: what one line says of every seed. Written once where it is the same for all, packed where the run is long.

Numbers that were measured keep six significant digits; values that were asked for keep every bit.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import isfinite, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DIGITS = 6
POWERS = np.array([float(f"1e{k}") for k in range(23)])  # the powers of ten that a double holds exactly
ABSENT = -(2**23)  # the word of a packed number that is not finite


# ---- numbers that were measured -------------------------------------------------------------------------------------


def rounded(values: Any, digits: int = DIGITS) -> Floats:
    """The doubles nearest to `values` in that many significant digits; what is not finite is NaN."""
    values = np.asarray(values, np.float64)
    values = np.where(np.isfinite(values), values, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        places = digits - 1 - np.floor(np.log10(np.abs(values)))
    places = np.where(np.isfinite(places), places, 0).astype(np.int64)
    if len(places) and np.abs(places).max() >= len(POWERS):
        return np.array([float(f"{x:.{digits - 1}e}") for x in values])
    return _decimal(np.rint(_scaled(values, places)), places)


def _scaled(values: Floats, places: NDArray[np.int64]) -> Floats:
    """values · 10^places."""
    return np.where(places < 0, values / POWERS[-places.clip(max=0)], values * POWERS[places.clip(min=0)])


def _decimal(whole: Floats, places: NDArray[np.int64]) -> Floats:
    """whole / 10^places, each the nearest double: both sides are exact, so one rounding is all there is."""
    if not len(places) or places.min() >= 0:
        return whole / POWERS[places]
    return np.where(places < 0, whole * POWERS[-places.clip(max=0)], whole / POWERS[places.clip(min=0)])


def write_numbers(values: Floats, *, packed: bool) -> Any:
    """`values` [S], rounded already: one number where all are the same; else a list or, `packed`, the string
    `<power>:<base64>` of three bytes a number, where that is possible."""
    written = plain(values)
    if all(value == written[0] for value in written):
        return written[0]
    return (_pack(values) if packed else None) or written


def read_numbers(written: Any, seeds: int) -> list[float | None]:
    """What `write_numbers` was given, None where it was not finite. Raises `ValueError` for another number of seeds."""
    if isinstance(written, list):
        return _all(written, seeds)
    if not isinstance(written, str):
        return [None if written is None else float(written)] * seeds
    power, _, text = written.partition(":")
    return plain(_unpack(int(power), text)) if len(text) == 4 * seeds else _all(list(text[::4]), seeds)


def plain(values: Floats) -> list[Any]:
    """As (nested) lists, None in place of what is not finite."""
    found = values.tolist()
    return found if np.isfinite(values).all() else _none(found)


def _none(values: list[Any]) -> list[Any]:
    return [_none(x) if isinstance(x, list) else x if isfinite(x) else None for x in values]


def _pack(values: Floats) -> str | None:
    """Three bytes a number, least first: a whole number of at most six digits · 8 + how many powers of ten it stands
    below the column's largest. None where one number stands more than seven below, or out of reach of exact powers."""
    finite = np.isfinite(values)
    sizes = np.abs(values[finite & (values != 0)])
    if not len(sizes):
        return None
    powers = np.full(len(values), int(np.floor(np.log10(sizes.max()))))
    top = int(powers[0])
    powers[finite & (values != 0)] = np.floor(np.log10(sizes)).astype(np.int64)
    below = top - powers
    places = DIGITS - 1 - powers
    if np.abs(places).max() >= len(POWERS):
        return None
    whole = np.rint(_scaled(np.where(finite, values, 0), places)).astype(np.int64)
    words = np.where(finite, whole * 8 + below, ABSENT).astype("<i4")
    text = b64encode(words.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()).decode()
    return f"{top}:{text}" if np.array_equal(_unpack(top, text), values, equal_nan=True) else None


def _unpack(top: int, text: str) -> Floats:
    parts = np.zeros((len(text) // 4, 4), np.uint8)
    parts[:, 1:] = np.frombuffer(b64decode(text), np.uint8).reshape(-1, 3)
    words = parts.view("<i4")[:, 0] >> 8
    values = _decimal((words >> 3).astype(np.float64), (words & 7) + (DIGITS - 1 - top))
    return values if words.min() > ABSENT else np.where(words == ABSENT, np.nan, values)


# ---- values that were asked for -------------------------------------------------------------------------------------


def write_exact(values: NDArray[Any], before: NDArray[Any] | None, *, packed: bool) -> Any:
    """`values` [S, ...] with every bit kept: a list or, `packed`, the string `<dtype>[shape]<+bytes>:<base64>` of the
    raw little-endian numbers or, with `+bytes`, of how far their bits, read as whole numbers, are from those of the
    values last asked for at this path (`before`), in so many bytes."""
    if not packed:
        return plain(values)
    values = np.ascontiguousarray(values)
    size = values.dtype.itemsize
    head = values.dtype.str[1:] + (f"{list(values.shape[1:])}".replace(" ", "") if values.ndim > 1 else "")
    if before is not None and before.shape == values.shape and before.dtype == values.dtype and size > 1:
        apart = _bits(values) - _bits(before)
        for few in range(1, size):
            if -(1 << 8 * few - 1) <= apart.min() and apart.max() < 1 << 8 * few - 1:
                raw = apart.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :few].tobytes()
                return f"{head}+{few}:{b64encode(raw).decode()}"
    return f"{head}:{b64encode(values.astype(values.dtype.newbyteorder('<')).tobytes()).decode()}"


def read_exact(written: Any, seeds: int, before: NDArray[Any] | None) -> tuple[list[Any], NDArray[Any] | None]:
    """The values as lists, and as the array that the next line may be written against (None where they are no string).

    Raises `ValueError` for another number of seeds.
    """
    if not isinstance(written, str):
        return _all(written, seeds), None
    head, _, text = written.partition(":")
    dtype, shape, few = _head(head)
    raw = b64decode(text)
    if few:
        if before is None:
            raise ValueError(f"'{written[:20]}…' is told against a value that no line before it holds")
        apart = _whole(raw, few).reshape(before.shape)
        values = (_bits(before) + apart).astype(f"<i{dtype.itemsize}").view(dtype).reshape(before.shape)
    else:
        values = np.frombuffer(raw, dtype)
        values = values.reshape(len(values) // max(1, prod(shape)), *shape)
    return plain(values) if len(values) == seeds else _all(values.tolist(), seeds), values


@lru_cache
def _head(head: str) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    kind, _, few = head.partition("+")
    name, _, shape = kind.partition("[")
    return np.dtype(f"<{name}"), tuple(int(n) for n in shape.rstrip("]").split(",") if n), int(few or 0)


def _bits(values: NDArray[Any]) -> NDArray[np.int64]:
    return values.view(f"i{values.dtype.itemsize}").astype(np.int64)


def _whole(raw: bytes, few: int) -> NDArray[np.int64]:
    parts = np.zeros((len(raw) // few, 8), np.uint8)
    parts[:, 8 - few :] = np.frombuffer(raw, np.uint8).reshape(-1, few)
    return parts.view("<i8")[:, 0] >> 8 * (8 - few)


# ---- words ----------------------------------------------------------------------------------------------------------


def write_words(words: Sequence[str]) -> Any:
    """One word where all are the same; where they repeat, {word: places, most frequent: "others"}; else a list."""
    found = Counter(words)
    if len(found) == 1:
        return str(words[0])
    if 2 * len(found) > len(words):
        return [str(word) for word in words]
    most = found.most_common(1)[0][0]
    places: dict[str, Any] = {str(word): [] for word in found if word != most}
    for place, word in enumerate(words):
        if word != most:
            places[word].append(place)
    return {**places, str(most): "others"}


def read_words(written: Any, seeds: int) -> list[str]:
    """What `write_words` was given. Raises `ValueError` for another number of seeds."""
    if isinstance(written, str):
        return [written] * seeds
    if isinstance(written, list):
        return _all(written, seeds)
    words = [next(word for word, places in written.items() if places == "others")] * seeds
    for word, places in written.items():
        for place in places if places != "others" else ():
            words[place] = word
    return words


def _all(values: list[Any], seeds: int) -> list[Any]:
    if len(values) != seeds:
        raise ValueError(f"{len(values)} entries for {seeds} seeds")
    return values
