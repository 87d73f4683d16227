"""Adding triggers in migrations without rendering every related model anew, which takes longer than all the SQL."""

from django.db.migrations.state import ProjectState
from pgtrigger import migrations


class AddTrigger(migrations.AddTrigger):
    """Adds a trigger to a model's table. No rendered model has to know its triggers: only their SQL counts."""

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Note the trigger in the state, for whoever compares states."""
        options = state.models[app_label, self.model_name.lower()].options
        options["triggers"] = [*options.get("triggers", []), self.trigger]
