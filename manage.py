#!/usr/bin/env python3
"""Runs every Headroom command: demo, test, lint, and all of Django's. Needs nothing but Python 3.11 and git."""

import os
import sys

# This preamble must also be understood by older Pythons, so that they can say what is wrong.
if sys.version_info < (3, 11):  # noqa: UP036
    sys.exit("Headroom needs Python 3.11 or newer, and this is Python %d.%d." % sys.version_info[:2])  # noqa: UP031
if os.name != "posix":
    sys.exit("Headroom's launcher runs on Linux and macOS. On Windows, run it inside WSL.")

from config.launcher.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv))
