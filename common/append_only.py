"""Append-only tables: the database refuses UPDATE, DELETE and TRUNCATE, whoever asks and in whatever language.

Row triggers let TRUNCATE through, so that it needs a statement trigger of its own. Production also revokes these
rights from the application's role; the seal proves what a superuser may still have done.
"""

import pgtrigger


def append_only_triggers() -> list[pgtrigger.Trigger]:
    """Return the triggers for the Meta of a table that only grows."""
    return [
        pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
        pgtrigger.Trigger(
            name="no_truncate",
            operation=pgtrigger.Truncate,
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
            func="RAISE EXCEPTION 'append-only: % is never emptied', TG_TABLE_NAME;",
        ),
    ]
