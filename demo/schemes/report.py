"""How two periods of a scheme ended: every table as the registry has it, and whether that is as worked by hand."""

from demo import schemes
from demo.cast import PASSWORD
from demo.schemes import outcome
from demo.schemes.books import BOOKS
from demo.schemes.compare import differences, show, table_differences
from demo.tables import Teller
from demo.two_periods import representatives
from registry.models import Scheme

AS_WORKED = "as worked by hand"


def tell(teller: Teller, name: str) -> list[str]:
    """Print every table of a scheme next to what was worked by hand, and return each figure that differs."""
    by_hand, told = schemes.by_hand(name), outcome.tables(Scheme.objects.select_related("currency").get(code=name))
    for heading, rows in told.items():
        teller.chapter(f"{name}: {heading}")
        teller.table(list(rows[0]), [[show(figure, column) for column, figure in row.items()] for row in rows])
        found = table_differences(heading, by_hand.get(heading, ()), rows)
        teller.line(f"  ✓ {AS_WORKED}" if not found else "  ✗ " + "\n  ✗ ".join(found))
    return differences(by_hand, told)


def tell_logins(teller: Teller, name: str) -> None:
    """Say who can log in besides the regulator's people."""
    teller.chapter(f"{name}: log in as")
    teller.table(
        ["who", "e-mail", "password"],
        [
            [person.organisation, person.email, PASSWORD]
            for person in representatives(BOOKS[name])
            if person.role == "initiator"
        ],
    )
    teller.line("Each of them has approver@ and trader@ too; desk@ and senior@regulator.example are the officers.")
