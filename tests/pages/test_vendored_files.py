"""The browser files copied from other projects are the ones we checked, each with its licence."""

import hashlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENDORED = (ROOT / "static/vendor", ROOT / "tests/vendor")
UNLISTED = {"CHECKSUMS", "README.md"}


def listed_checksums() -> dict[str, str]:
    """Return what CHECKSUMS promises: path from the top folder, and its SHA-256."""
    lines = (ROOT / "static/vendor/CHECKSUMS").read_text().splitlines()
    return {path: digest for digest, path in (line.split("  ") for line in lines)}


def files_present() -> dict[str, str]:
    """Return what is really there: path from the top folder, and its SHA-256."""
    files = [file for folder in VENDORED for file in folder.rglob("*") if file.is_file() and file.name not in UNLISTED]
    return {file.relative_to(ROOT).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_every_vendored_file_has_the_checksum_we_recorded() -> None:
    assert files_present() == listed_checksums()


def test_every_vendored_package_carries_its_licence() -> None:
    packages = [folder for parent in VENDORED for folder in parent.iterdir() if folder.is_dir()]

    without_licence = [folder.name for folder in packages if not (folder / "LICENSE").is_file()]

    assert len(packages) == 5
    assert without_licence == []


def test_no_vendored_file_names_a_source_map_we_do_not_carry() -> None:
    scripts_and_styles = [file for folder in VENDORED for file in folder.rglob("*") if file.suffix in {".js", ".css"}]

    assert len(scripts_and_styles) == 5
    assert [file.name for file in scripts_and_styles if "sourceMappingURL=" in file.read_text()[-200:]] == []
