"""What is always true of labels and of access awards: stars follow from their field, awards from their ranking."""

from datetime import datetime

from common.invariants import Finding, Invariant
from registry.engine.canonical import sha256
from registry.models import AccessAward, AccessProgramme, LabelEdition
from registry.services.efficiency import labels


def _labels_follow_from_their_field(as_of: datetime | None) -> Finding:
    editions = LabelEdition.objects.order_by("issued_at", "id")
    if as_of is not None:
        editions = editions.filter(issued_at__lte=as_of)
    checked = 0
    for edition in editions.iterator():
        checked += 1
        if not labels.is_reproduced(edition):
            return checked, {"edition_id": edition.pk, "stars": "are not those that the field gives"}
    return checked, None


def _awards_follow_from_their_ranking(as_of: datetime | None) -> Finding:
    programmes = AccessProgramme.objects.filter(document__isnull=False).order_by("opened_at", "id")
    if as_of is not None:
        programmes = programmes.filter(approval__executed_at__lte=as_of)
    checked = 0
    for programme in programmes.iterator():
        checked += 1
        document = programme.document
        assert document is not None, "the rows were filtered"
        said = {
            (row["application"], row["place"], int(row["permits"]), int(row["flop"]))
            for row in document["ranking"]
            if int(row["permits"]) or int(row["flop"])
        }
        awards = AccessAward.objects.filter(application__programme=programme)
        found = {(str(one.application_id), one.place, one.permits, int(one.flop)) for one in awards}
        if (sha256(document), said) != (programme.sha256, found):
            return checked, {"programme_id": programme.pk, "awards": "are not those of the ranking that was signed"}
    return checked, None


INVARIANTS: list[Invariant] = [
    Invariant("Each edition's labels follow from the field that it froze", _labels_follow_from_their_field),
    Invariant("Each access award follows from the ranking that two officers signed", _awards_follow_from_their_ranking),
]
