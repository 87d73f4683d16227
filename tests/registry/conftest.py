"""Where the real input files of the registry tests are."""

import os
from pathlib import Path

import pytest

from tests.registry.monitored import cluster, paris  # noqa: F401  (fixtures)
from tests.registry.staging import govern, stage  # noqa: F401  (fixtures)

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data: HEADROOM_DATA, or ../shared/data beside the checkout; without it the test is skipped."""
    folder = Path(os.environ.get("HEADROOM_DATA") or CHECKOUT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}: set HEADROOM_DATA to the folder that holds codecarbon/ and epoch/")
    return folder
