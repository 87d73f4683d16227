"""`manage.py load_trainings FILE --by ADDRESS --retrieved-on DAY`: load Epoch AI's models as the desk does."""

from typing import Any

from accounts.models import User
from common import clock
from registry.management.loading import LoadingCommand
from registry.services import reference


class Command(LoadingCommand):
    """Ends with status 1 where the file is refused, and then nothing was stored."""

    help = "Load Epoch AI's file of published models (CC BY 4.0), with which reported trainings are compared."

    def load(self, actor: User, content: bytes, options: dict[str, Any]) -> None:
        """Load the models and say how many there are."""
        made = reference.load(actor=actor, content=content, retrieved_on=options["retrieved_on"], now=clock.now())
        self.stdout.write(f"{made}: {made.rows:,} models, sha256 {made.sha256}")
