"""The environment is made once, again when the lock changes, and never half."""

import ast
import runpy
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from config.launcher import bootstrap, places
from config.launcher.progress import Problem


class Checkout:
    """A checkout with a lock, whose installation makes an empty environment and counts."""

    def __init__(self, folder: Path) -> None:
        self.venv = folder / ".venv"
        self.lock = folder / "requirements.lock"
        self.state = folder / ".headroom"
        self.state.mkdir()
        self.lock.write_text("django==5.2.19\n")
        self.installations = 0
        self.fails = False

    def install_with_uv(self, folder: Path, lock: Path, state: Path) -> bool:
        """Stand in for the download."""
        self.installations += 1
        if self.fails:
            raise KeyboardInterrupt
        if not folder.exists():
            venv.create(folder, with_pip=False)
        return True

    def ensure(self) -> None:
        """Do what a start does."""
        if not bootstrap.is_current(self.venv, self.lock):
            bootstrap.install(self.venv, self.lock, self.state)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A fresh clone."""
    checkout = Checkout(tmp_path)
    monkeypatch.setattr(bootstrap, "_install_with_uv", checkout.install_with_uv)
    return checkout


def test_second_start_installs_nothing(checkout: Checkout) -> None:
    checkout.ensure()
    checkout.ensure()

    assert checkout.installations == 1


def test_changed_lock_installs_again_and_keeps_the_environment(checkout: Checkout) -> None:
    checkout.ensure()
    (checkout.venv / "kept").touch()

    checkout.lock.write_text("django==5.2.20\n")
    checkout.ensure()

    assert checkout.installations == 2
    assert (checkout.venv / "kept").exists()


def test_environment_that_an_interruption_left_half_made_is_made_again(checkout: Checkout) -> None:
    checkout.ensure()
    (checkout.venv / "half-installed").touch()
    checkout.lock.write_text("django==5.2.20\n")
    checkout.fails = True
    with pytest.raises(KeyboardInterrupt):
        checkout.ensure()
    checkout.fails = False

    checkout.ensure()

    assert not (checkout.venv / "half-installed").exists()
    assert bootstrap.is_current(checkout.venv, checkout.lock)


def test_environment_whose_python_has_gone_is_made_again(checkout: Checkout) -> None:
    checkout.ensure()
    for name in ("python", "python3"):
        (checkout.venv / "bin" / name).unlink(missing_ok=True)

    assert not bootstrap.is_current(checkout.venv, checkout.lock)
    checkout.ensure()

    assert bootstrap.is_current(checkout.venv, checkout.lock)


def test_python_without_venv_and_pip_is_told_which_package_to_install(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bootstrap, "_install_with_uv", lambda *_: False)
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with pytest.raises(Problem, match="apt install python3-venv"):
        checkout.ensure()


def test_installer_and_packages_are_pinned_by_hash() -> None:
    for lock in (bootstrap.LOCK, bootstrap.UV_LOCK, places.CHECKOUT / "tests" / "clients" / "codecarbon.lock"):
        words = lock.read_text().replace("\\\n", " ").splitlines()
        pins = [line for line in words if "==" in line and not line.lstrip().startswith("#")]

        assert pins
        assert all("--hash=sha256:" in pin for pin in pins)


def test_older_python_can_read_the_preamble_and_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    manage = places.CHECKOUT / "manage.py"
    ast.parse(manage.read_text(), feature_version=(3, 7))
    monkeypatch.setattr(sys, "version_info", (3, 9, 2))

    with pytest.raises(SystemExit, match=r"needs Python 3.11 or newer, and this is Python 3\.9"):
        runpy.run_path(str(manage), run_name="__main__")


def test_launcher_needs_only_the_standard_library() -> None:
    script = "import config.launcher.main, sys; print([m for m in sys.modules if m.startswith(('django', 'psycopg'))])"

    answer = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, '.'); {script}"],
        cwd=places.CHECKOUT,
        capture_output=True,
        text=True,
    )

    assert (answer.stdout, answer.stderr) == ("[]\n", "")


def test_reading_the_settings_starts_nothing() -> None:
    script = "import config.settings, sys; print([m for m in sys.modules if 'launcher' in m])"

    answer = subprocess.run([sys.executable, "-c", script], cwd=places.CHECKOUT, capture_output=True, text=True)

    assert (answer.stdout, answer.stderr) == ("[]\n", "")
