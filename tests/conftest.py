"""The start check takes as long as many a test: only tests that ask for `examined` begin with it."""

from __future__ import annotations

import pytest

from sandbox.engine.functional import Functional
from sandbox.engine.higher import Higher


@pytest.fixture
def examined() -> None:
    """Runs of this test begin with the check."""


@pytest.fixture(autouse=True)
def _unexamined(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "examined" not in request.fixturenames:
        for engine in (Functional, Higher):
            monkeypatch.setattr(engine, "examine", lambda *_: ())
