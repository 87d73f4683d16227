"""The one migration of new installs makes what the many of old installs made."""

from typing import Any

from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ModelState
from django.db.migrations.writer import MigrationWriter


def described(model: ModelState) -> dict[str, Any]:
    """Return what a model says of its table, whatever the order in which it came about."""
    options = dict(model.options)
    named = {
        kind: {one.name: one.deconstruct()[1:] if kind != "triggers" else one for one in options.pop(kind, [])}
        for kind in ("constraints", "indexes", "triggers")
    }
    fields = {name: MigrationWriter.serialize(field)[0] for name, field in model.fields.items()}
    return {"fields": fields, "options": {name: value for name, value in options.items() if value}, **named}


def test_the_squashed_migration_describes_the_same_tables() -> None:
    one_by_one = MigrationLoader(None, replace_migrations=False).project_state()
    at_once = MigrationLoader(None, replace_migrations=True).project_state()

    assert set(at_once.models) == set(one_by_one.models)
    for key, model in one_by_one.models.items():
        assert described(at_once.models[key]) == described(model), key
