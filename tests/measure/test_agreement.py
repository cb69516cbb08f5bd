"""Agreement of rows against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from sandbox.measure.agreement import cosine, midranks, rank_correlation


def test_ranks_of_ties_are_shared() -> None:
    assert midranks(torch.tensor([[3.0, 1.0, 3.0, 2.0]])).tolist() == [[2.5, 0.0, 2.5, 1.0]]


@pytest.mark.parametrize("seed", range(5))
def test_rank_correlation_is_spearmans(seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, 6, (2, 1, 30))
    found = rank_correlation(torch.as_tensor(a), torch.as_tensor(b))
    assert float(found) == pytest.approx(spearmanr(a[0], b[0]).statistic, abs=1e-12)


def test_no_direction_is_nan_and_never_a_number() -> None:
    assert cosine(torch.zeros(1, 3), torch.ones(1, 3)).isnan()
    assert rank_correlation(torch.ones(1, 3), torch.arange(3.0)[None]).isnan()


def test_cosine_by_hand() -> None:
    found = cosine(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 2.0], [-3.0, -3.0]]))
    assert found.tolist() == pytest.approx([0.0, -1.0])
