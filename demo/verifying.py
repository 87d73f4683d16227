"""Verifying in the demo: a verifier is accredited and appointed, works off its checklist, and signs."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.models import Organisation, User
from demo.cast import PASSWORD
from registry.engine.verification import CHECKLIST, CONFLICTS, INDEPENDENT_REVIEW
from registry.models import Operator, Period, Report, ReportLine, Scheme, SigningKey, VerifierStatement
from registry.services import verification
from registry.services.verifying import accreditations, appointments, findings, keys

YEARS = 5
"""For how long the demo's verifier is accredited at a time."""

NOTES = {
    "risk_analysis": "The largest lines and those with flags carry the risk.",
    "sampling_plan": "The five largest lines and five drawn by lot.",
    "recalculation": "Recomputed from the file that was received; the same to the last digit.",
    "meter_reconciliation": "No meter of a site is shared with another tenant.",
    "cut_off": "First and last week compared with the runs' own timestamps.",
    "analytical_checks": "Energy per FLOP and utilisation lie within what the hardware allows.",
    "site_visit": "Visited remotely: the machines are rented.",
    INDEPENDENT_REVIEW: "Read the working papers and agree.",
}


@dataclass(frozen=True)
class Verifier:
    """A verifier with the person who leads the work and the colleague who reviews it."""

    organisation: Organisation
    lead: User
    reviewer: User

    def prepare(self, scheme: Scheme, desk: User, now: datetime) -> None:
        """Be accredited in a scheme where that has not happened, and have a key to sign with."""
        if not accreditations.covered(self.organisation, scheme, now.date()):
            accreditations.grant(
                actor=desk,
                verifier=self.organisation,
                scheme=scheme,
                reference="Demo Accreditation Body, certificate 17",
                activities=ReportLine.Activity.values,
                valid_from=now.date(),
                valid_until=now.date() + timedelta(days=366 * YEARS),
                now=now,
            )
        if not keys.usable(self.organisation, now).exists():
            keys.make_key(actor=self.lead, organisation=self.organisation, name="Office", passphrase=PASSWORD, now=now)

    def appointed_by(self, reporter: User, operator: Operator, period: Period, now: datetime) -> None:
        """Be asked by an operator, and accept without a conflict."""
        asked = appointments.propose(
            actor=reporter, operator=operator, period=period, verifier=self.organisation, now=now
        )
        appointments.accept(
            actor=self.lead, appointment=asked, conflicts=dict.fromkeys(CONFLICTS, False), note="", now=now
        )

    def verify(self, reports: Iterable[Report], now: datetime) -> list[VerifierStatement]:
        """Check reports one by one and sign a positive opinion on each, with comments where there are flags."""
        key = self.key(now)
        return [self._verify(report, key, now) for report in reports]

    def question(self, report: Report, text: str, answer: str, reporter: User, now: datetime) -> None:
        """Begin to verify a report, recommend something, and close it when the operator has answered."""
        verification.begin_verification(actor=self.lead, report=report, now=now)
        found = findings.raise_finding(actor=self.lead, report=report, kind="recommendation", text=text, now=now)
        findings.answer_finding(actor=reporter, finding=found, answer=answer, now=now)
        findings.close_finding(
            actor=self.lead, finding=found, closing="To be looked at again next year.", corrected=False, now=now
        )

    def key(self, now: datetime) -> SigningKey:
        """Return the key it signs with."""
        key = keys.usable(self.organisation, now).first()
        assert key is not None, "The verifier has a key since it was accredited."
        return key

    def _verify(self, report: Report, key: SigningKey, now: datetime) -> VerifierStatement:
        report.refresh_from_db(fields=["status"])
        if report.status == "submitted":
            verification.begin_verification(actor=self.lead, report=report, now=now)
        for item in CHECKLIST:
            findings.answer_checklist(
                actor=self.reviewer if item == INDEPENDENT_REVIEW else self.lead,
                report=report,
                item=item,
                outcome="done",
                note=NOTES[item],
                now=now,
            )
        return verification.verify_report(
            actor=self.lead,
            report=report,
            opinion="positive_with_comments" if report.flags else "positive",
            findings="Recomputed from the evidence; flags reviewed." if report.flags else "",
            key_id=key.key_id,
            passphrase=PASSWORD,
            now=now,
        )
