"""Settings that hold for all tests."""

from __future__ import annotations

import signal

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


ASKED_FOR = {
    "slow": "minutes of computing",
    "gpu": "needs a CUDA device and cupy",
    "slurm": "needs Slurm, which tests/slurm/install.sh installs",
    "browser": "needs a headless browser",
    "kernel": "needs a Jupyter kernel",
}


def pytest_configure() -> None:
    """A shell starts what it runs in the background with ctrl-C ignored, and children inherit that: tests that send
    it would wait for nothing."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marked tests run only where their marker is asked for, and the skip says how."""
    asked = config.getoption("-m")
    for item in items:
        for marker, reason in ASKED_FOR.items():
            if item.get_closest_marker(marker) and marker not in asked:  # keywords hold folders too
                item.add_marker(pytest.mark.skip(reason=f"{reason}; run with `pytest -m {marker}`"))
