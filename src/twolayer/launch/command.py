"""The command `twolayer`: in a copy of the server, where there is one, and else in this process."""

from __future__ import annotations

import os
import sys

from twolayer.launch import ADDRESS

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process; its exit status."""
    if address := os.environ.get(ADDRESS):
        from twolayer.launch.client import run_elsewhere

        status = run_elsewhere(address, sys.argv[1:])
        if status is not None:
            return status
    from twolayer import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
