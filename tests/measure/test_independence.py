"""The instruments are usable without the rest of the sandbox."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MEASURE = Path(__file__).parents[2] / "sandbox" / "measure"


def test_no_instrument_imports_the_house_or_its_frameworks() -> None:
    names = [f"sandbox.measure.{path.stem}" for path in sorted(MEASURE.glob("*.py")) if path.stem != "__init__"]
    code = f"import {', '.join(names)}, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    strangers = {name.split(".")[0] for name in loaded} & {
        "hydra",
        "omegaconf",
        "wandb",
        "higher",
        "matplotlib",
        "pydantic",
    }
    house = {name for name in loaded if name.startswith("sandbox.") and not name.startswith("sandbox.measure")}
    assert not strangers
    assert not house
