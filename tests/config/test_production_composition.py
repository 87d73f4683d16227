"""What a schema cannot say of docker-compose.yml: pinned images, health checks, no default secret, loopback only."""

from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).resolve().parents[2] / "docker-compose.yml"


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """The services by name."""
    loaded: dict[str, dict[str, dict[str, Any]]] = yaml.safe_load(FILE.read_text())
    return loaded["services"]


def test_every_part_of_production_is_there(services: dict[str, dict[str, Any]]) -> None:
    assert {"db", "mq", "cache", "migrate", "web", "worker", "beat"} <= set(services)


def test_images_are_pinned_to_a_version(services: dict[str, dict[str, Any]]) -> None:
    tags = {name: service["image"].split(":")[-1] for name, service in services.items() if "image" in service}

    assert tags and all(tag[0].isdigit() for tag in tags.values()), tags


@pytest.mark.parametrize("name", ["db", "mq", "cache"])
def test_servers_are_waited_for_until_healthy(services: dict[str, dict[str, Any]], name: str) -> None:
    assert services[name]["healthcheck"]["test"]


def test_no_secret_has_a_default(services: dict[str, dict[str, Any]]) -> None:
    text = FILE.read_text()

    for secret in ("HEADROOM_SECRET_KEY", "HEADROOM_SIGNING_KEY", "POSTGRES_PASSWORD", "RABBITMQ_PASSWORD"):
        assert f"${{{secret}:?" in text
        assert f"${{{secret}:-" not in text


def test_ports_are_published_on_loopback_only(services: dict[str, dict[str, Any]]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]

    assert published and all(port.startswith("127.0.0.1:") for port in published)


def test_production_processes_run_as_production(services: dict[str, dict[str, Any]]) -> None:
    for name in ("migrate", "web", "worker", "beat"):
        assert services[name]["environment"]["HEADROOM_ENV"] == "production"
