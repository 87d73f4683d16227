"""`manage.py test`: the whole test suite against a database and a broker of its own."""

import os
import signal
import subprocess
import sys

from config.launcher import places
from config.launcher.progress import say
from config.launcher.servers import private_servers


def main(words: list[str]) -> int:
    """Run pytest with those words and return its code."""
    with private_servers() as servers:
        environment = {**os.environ, "HEADROOM_ENV": "test", **servers.environment}
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
