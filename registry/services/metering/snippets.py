"""What a person copies to let a CodeCarbon client report to us: its configuration file, and the lines of Python."""

from registry.models import MeterExperiment

PLACEHOLDER = "hrm_..."
"""Stands where the token goes: we cannot show it again."""


def configuration(
    site: str, experiment: MeterExperiment, secret: str = PLACEHOLDER, *, api: bool = True, webhook: bool = False
) -> str:
    """Return the content of .codecarbon.config for the runs of an experiment."""
    lines = ["[codecarbon]"]
    if api:
        lines += ["save_to_api = true", f"api_endpoint = {api_endpoint(site)}", f"api_key = {secret}"]
    lines.append(f"experiment_id = {experiment.pk}")
    if webhook:
        lines.append(f"emissions_endpoint = {webhook_endpoint(site, secret)}")
    return "\n".join(lines) + "\n"


def python(experiment: MeterExperiment) -> str:
    """Return what goes round a training loop; the configuration file beside it says the rest."""
    offline = f'OfflineEmissionsTracker(country_iso_code="{experiment.country}")'
    tracker = offline if experiment.country else "EmissionsTracker()"
    return (
        f"from codecarbon import {tracker.partition('(')[0]}\n\nwith {tracker}:\n    train()  # whatever you measure\n"
    )


def api_endpoint(site: str) -> str:
    """Return the address that goes into api_endpoint."""
    return f"{site.rstrip('/')}/api/codecarbon"


def webhook_endpoint(site: str, secret: str = PLACEHOLDER) -> str:
    """Return the address that goes into emissions_endpoint; a webhook sends no header, so the token is in it."""
    scheme, _, host = site.rstrip("/").partition("://")
    return f"{scheme}://meter:{secret}@{host}/api/codecarbon/webhook"
