"""Settings that hold for all tests."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from xdist.scheduler import LoadFileScheduling

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")


ASKED_FOR = {
    "slow": "takes minutes, or repeats what shorter tests cover",
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


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    """With `-n`, the tests of a file run in one process, unless `--dist` says otherwise: what they share is made once,
    and no process waits while another compiles the same kernel."""
    from xdist.scheduler import LoadFileScheduling

    if config.getoption("dist") != "load":
        return None
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marked tests run only where their marker is asked for, and the skip says how. Tests of the workflow, whose files
    take longest, come first, so that no process is left with one of them at the end."""
    items.sort(key=lambda item: item.path.parent.name != "workflow")
    asked = config.getoption("-m")
    for item in items:
        for marker, reason in ASKED_FOR.items():
            if item.get_closest_marker(marker) and marker not in asked:  # keywords hold folders too
                item.add_marker(pytest.mark.skip(reason=f"{reason}; run with `pytest -m {marker}`"))
