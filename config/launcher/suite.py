"""`manage.py test`: the whole test suite against a database and a broker of its own, on as many cores as there are."""

import os
import signal
import subprocess
import sys

from config.launcher import places
from config.launcher.progress import say
from config.launcher.servers import private_servers

WHOLE_SUITE = ["--numprocesses", "logical", "--maxprocesses", "4", "--dist", "loadfile"]
"""One process for each core, each with a database of its own; a file's tests stay together, as its fixtures do."""


def main(words: list[str]) -> int:
    """Run pytest with those words and return its code. Without words, the whole suite runs on every core."""
    words = words or WHOLE_SUITE
    with private_servers() as servers:
        environment = {**os.environ, "HEADROOM_ENV": "test", **servers.environment}
        environment["CACHE_URL"] = ""  # each process caches in its own memory: clearing one must not clear another's
        process = subprocess.Popen([sys.executable, "-m", "pytest", *words], cwd=places.CHECKOUT, env=environment)
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # Ctrl-C reached pytest as well, which is closing its database and summing up: let it finish.
                say("Waiting for pytest to finish ...")
            except BaseException:
                process.send_signal(signal.SIGTERM)
                process.wait()
                raise
