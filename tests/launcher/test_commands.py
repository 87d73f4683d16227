"""The commands refuse clearly what they cannot do, and finish what they can."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config.launcher import bootstrap, demo, lint, main, places
from config.launcher.lint import Check
from config.launcher.locks import Attendance, Claim
from config.launcher.progress import Problem


def test_taken_port_is_refused_before_any_work(checkout_state: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(Problem, match=rf"Port {port} cannot be used .*--port"):
            demo.main(["--port", str(port)])

    assert not list(checkout_state.glob("*.users"))  # no server was started


def test_port_that_is_no_port_is_refused(checkout_state: Path) -> None:
    with pytest.raises(Problem, match="Port 70000 cannot be used"):
        demo.main(["--port", "70000"])


def test_data_folder_is_checked_before_any_work(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given, without = demo._parse(["--data", str(home)]), demo._parse(["--data", "none"])

    assert given.data == home.resolve()
    assert str(without.data) == "none"  # asks for the published figures
    with pytest.raises(SystemExit):
        demo._parse(["--data", str(home / "missing")])
    assert "there is no folder" in capsys.readouterr().err


def test_the_demo_tells_a_shipped_scheme_by_its_name_and_lists_them_for_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    chosen, usual = demo._parse(["--scheme", "eu-like", "--data", "none"]), demo._parse([])

    assert demo._story_options(chosen) == ["--data", "none", "--scheme", "eu-like"]
    assert demo._story_options(usual) == []
    with pytest.raises(SystemExit):
        demo._parse(["--scheme", "atlantis"])
    complaint = capsys.readouterr().err
    for name in ("eu-like", "california-like", "rggi-like", "ai-allowance"):
        assert name in complaint


def test_second_demo_of_a_checkout_is_refused_and_told_where_the_first_is(checkout_state: Path) -> None:
    first = Claim(places.state_folder() / "demo.lock")
    assert first.take("process 4711, http://127.0.0.1:8000/")

    with pytest.raises(Problem, match=r"already running \(process 4711, http://127\.0\.0\.1:8000/\)"):
        demo.main(["--no-serve"])


def test_released_claim_is_free_again(home: Path) -> None:
    first, second = Claim(home / "lock"), Claim(home / "lock")
    assert first.take("first")
    assert not second.take("second")

    first.release()

    assert second.take("second")
    assert Claim(home / "lock").holder() == "second"


def test_everyone_but_the_last_sees_somebody_in_the_room(home: Path) -> None:
    early, late = Attendance(home / "room"), Attendance(home / "room")
    together = early.is_alone()

    early.leave()

    assert not together
    assert late.is_alone()


def _checkout(folder: Path) -> Path:
    (folder / "registry" / "migrations").mkdir(parents=True)
    (folder / "registry" / "sql").mkdir()
    (folder / "requirements.lock").write_text("django==5.2.19")
    (folder / "registry" / "migrations" / "0001_scheme.py").write_text("operations = []")
    (folder / "registry" / "sql" / "0001_guards.sql").write_text("SELECT 1")
    (folder / "registry" / "rules.py").write_text("x = 1")
    return folder


@pytest.mark.parametrize(
    ("file", "migrates"),
    [
        ("registry/migrations/0001_scheme.py", True),
        ("registry/migrations/0002_period.py", True),
        ("registry/sql/0001_guards.sql", True),
        ("requirements.lock", True),
        ("registry/rules.py", False),
        (".venv/django/migrations/0001_initial.py", False),
    ],
)
def test_demo_migrates_when_something_that_decides_the_schema_changed(
    tmp_path: Path, file: str, migrates: bool
) -> None:
    checkout = _checkout(tmp_path)
    before = demo.migrations_hash(checkout)

    (checkout / file).parent.mkdir(parents=True, exist_ok=True)
    (checkout / file).write_text("changed")

    assert (demo.migrations_hash(checkout) != before) == migrates


def test_lint_runs_every_check_even_when_one_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = [Check("first", ["-c", "raise SystemExit('a line too long')"]), Check("second", ["-c", "pass"])]
    monkeypatch.setattr(lint, "CHECKS", checks)

    code = lint.main([])

    printed = capsys.readouterr().out
    assert code == 1
    assert [line.split()[:2] for line in printed.splitlines() if line.endswith(" s")] == [
        ["first", "FAILED"],
        ["second", "ok"],
    ]
    assert "a line too long" in printed
    assert printed.endswith("lint: first FAILED\n")


def test_lint_knows_its_checks_by_name() -> None:
    with pytest.raises(Problem, match="no check named spelling"):
        lint.main(["spelling"])


def test_problem_is_one_sentence_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(argv: list[str]) -> None:
        raise Problem("Do this instead.")

    monkeypatch.setattr(bootstrap, "ensure_environment", fail)

    code = main.main(["manage.py", "verify"])

    assert code == 1
    assert capsys.readouterr().err == "headroom: Do this instead.\n"


def test_closed_stdin_does_not_hand_our_files_to_children(home: Path) -> None:
    script = (
        "from config.launcher.main import open_closed_streams; open_closed_streams()\n"
        f"lock = open({str(home / 'lock')!r}, 'w')\n"
        "import os; print(os.readlink('/proc/self/fd/0') if os.path.exists('/proc/self/fd/0') else os.devnull)"
    )

    answer = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" <&-', "sh", sys.executable, "-c", script],
        cwd=places.CHECKOUT,
        capture_output=True,
        text=True,
    )

    assert (answer.stdout, answer.stderr) == (f"{os.devnull}\n", "")


def test_production_brings_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADROOM_ENV", "production")
    handed_on: list[list[str]] = []

    def take(argv: list[str]) -> int:
        handed_on.append(argv)
        return 0

    monkeypatch.setattr(main, "_django", take)
    monkeypatch.setattr(bootstrap, "ensure_environment", lambda argv: pytest.fail("made an environment"))

    code = main.main(["manage.py", "migrate"])

    assert (code, handed_on) == (0, [["manage.py", "migrate"]])
