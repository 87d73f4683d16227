"""The cast of every test: a regulator, firms, a lab, a verifier and an auditor, made through the services.

The year of use is 2026 and the clock stands at OPENING unless a test moves it; nothing depends on the day it runs.
"""

import hashlib
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from accounts.models import Approval, Membership, Organisation, User
from accounts.services import approvals, organisations
from common import clock as one_clock
from common import signing
from registry.engine.allocation import AllocationInputs, GrandfatheringClaim, Metric
from registry.engine.verification import CHECKLIST, CONFLICTS
from registry.ledger.models import Asset, LedgerAccount
from registry.models import (
    Accreditation,
    Appointment,
    ChecklistAnswer,
    Operator,
    Period,
    Report,
    ReportLine,
    Scheme,
    SigningKey,
    VerifierStatement,
)
from registry.services import allocation, caps, cash, operators, schemes, verification
from registry.services.verifying import accreditations, appointments, keys
from tests.snapshots import Ready, recall

YEAR = 2026
OPENING = datetime(YEAR, 3, 2, 9, 0, tzinfo=UTC)
"""Monday morning in the year of use: the period is open and permits have been given out."""
REPORTING = datetime(YEAR + 1, 2, 1, 9, 0, tzinfo=UTC)
"""The year of use is over and reports are not yet due."""
LATE_FOR_REPORTS = datetime(YEAR + 1, 4, 15, 9, 0, tzinfo=UTC)
"""Reports were due, permits are not."""

CAP = 10_000
ACME_PERMITS, BOREALIS_PERMITS = 4_000, 2_000
CASH_MINOR = 100_000_000
LARGE_TRANSFER = 1_000
SANCTION_MINOR = 10_000
PERMIT_FLOP = 10**18
SECOND = timedelta(seconds=1)
MICROSECOND = timedelta(microseconds=1)


@dataclass
class Party:
    """An organisation with one person in each of its roles, who are attributes named by the role."""

    organisation: Organisation
    users: dict[str, User]
    operator: Operator | None = None

    def __getattr__(self, role: str) -> User:
        """Return the person who holds a role."""
        try:
            user: User = self.__dict__["users"][role]
        except KeyError:
            raise AttributeError(role) from None
        return user

    @property
    def account(self) -> LedgerAccount:
        """The holding account that enrolling opened."""
        assert self.operator is not None, f"{self.organisation} is no operator"
        return self.operator.account


@dataclass
class Regulator:
    """The regulator and its people: the desk proposes, the senior officer approves, the monitor watches."""

    organisation: Organisation
    desk: User
    senior: User
    monitor: User

    def approve(self, approval: Approval, now: datetime = OPENING) -> Approval:
        """Let the senior officer approve what the desk proposed; it has to work."""
        approval = approvals.approve(actor=self.senior, approval_id=approval.pk, now=now)
        assert approval.status == "executed", (approval.failure_code, approval.failure)
        return approval


@dataclass
class Clock:
    """The test's own clock, which receipts believe in."""

    instant: datetime
    _stack: ExitStack = field(default_factory=ExitStack)

    def now(self) -> datetime:
        """Return the present instant."""
        return self.instant

    def move_to(self, instant: datetime) -> datetime:
        """Let it be another instant from now on."""
        self._stack.close()
        self._stack.enter_context(one_clock.simulate(instant))
        self.instant = instant
        return instant

    def stop(self) -> None:
        """Give the real clock back."""
        self._stack.close()


def key() -> uuid.UUID:
    """Return a client's key that nobody used before."""
    return uuid.uuid4()


def person(name: str) -> User:
    """Make a person who can be logged in by force and not by password."""
    return User.objects.create_user(email=f"{name.lower().replace(' ', '.')}@example.org", name=name)


def party(regulator: Regulator, name: str, kind: str) -> Party:
    """Open an organisation with one person in each role its kind has."""
    organisation = organisations.open_organisation(actor=regulator.senior, name=name, kind=kind, now=OPENING)
    users = {}
    for role in sorted(Membership.ROLES_OF_KIND[kind]):
        users[role] = person(f"{name} {role.replace('_', ' ')}")
        organisations.grant_role(
            actor=regulator.senior, user=users[role], organisation=organisation, role=role, now=OPENING
        )
    if kind == "verifier":
        users["reviewer"] = person(f"{name} reviewer")
        organisations.grant_role(
            actor=regulator.senior, user=users["reviewer"], organisation=organisation, role="verifier", now=OPENING
        )
    return Party(organisation, users)


def accredit(verity: Party, scheme: Scheme, now: datetime = OPENING) -> Accreditation:
    """Let a verifier verify everything in a scheme, for twenty years."""
    desk = User.objects.filter(memberships__role="desk_officer").order_by("pk").first()
    assert desk is not None, "there is a regulator in every scheme"
    return accreditations.grant(
        actor=desk,
        verifier=verity.organisation,
        scheme=scheme,
        reference="Accreditation Body 42",
        activities=ReportLine.Activity.values,
        valid_from=now.date() - timedelta(days=366),
        valid_until=now.date() + timedelta(days=20 * 366),
        now=now,
    )


def engage(verity: Party, of: Operator, period: Period, now: datetime) -> Appointment:
    """Let an operator appoint a verifier for a period, who declares no conflict; once."""
    appointment = appointments.accepted(of, period)
    if appointment is not None:
        return appointment
    if not accreditations.covered(verity.organisation, period.scheme, now.date()):
        accredit(verity, period.scheme, now)
    reporter = User.objects.filter(
        memberships__organisation=of.organisation, memberships__role__in=["initiator", "approver"]
    ).first()
    assert reporter is not None, f"{of} has people"
    proposed = appointments.propose(actor=reporter, operator=of, period=period, verifier=verity.organisation, now=now)
    return appointments.accept(
        actor=verity.verifier, appointment=proposed, conflicts=dict.fromkeys(CONFLICTS, False), note="", now=now
    )


def verifiers_key(verity: Party, now: datetime) -> tuple[SigningKey, Ed25519PrivateKey]:
    """Return a verifier's key, which it keeps itself; registered once."""
    private = signing.key_from_seed(hashlib.sha256(verity.organisation.name.encode()).digest())
    public = signing.public_bytes(private)
    key = SigningKey.objects.filter(key_id=signing.key_id(public)).first() or keys.register_key(
        actor=verity.verifier,
        organisation=verity.organisation,
        name="Card",
        public_key=signing.to_text(public),
        proof=signing.sign(private, keys.proof_text(verity.organisation).encode()),
        now=now,
    )
    return key, private


def check(verity: Party, report: Report, now: datetime) -> None:
    """Begin a verification and answer its checklist, as far as that has not happened."""
    engage(verity, report.operator, report.period, now)
    report.refresh_from_db(fields=["status"])
    if report.status == "submitted":
        verification.begin_verification(actor=verity.verifier, report=report, now=now)
    if not report.checklist_answers.exists():
        ChecklistAnswer.objects.bulk_create(
            ChecklistAnswer(
                report=report,
                item=item,
                outcome="done",
                note="Looked at.",
                answered_by=verity.reviewer,
                answered_at=now,
            )
            for item in CHECKLIST
        )


def judge(
    verity: Party,
    report: Report,
    opinion: str = "positive",
    findings: str = "",
    *,
    now: datetime,
    actor: User | None = None,
) -> VerifierStatement:
    """Let a verifier check a report, state its opinion and sign it."""
    check(verity, report, now)
    key, private = verifiers_key(verity, now)
    stated: dict[str, Any] = {
        "actor": actor or verity.verifier,
        "report": report,
        "opinion": opinion,
        "findings": findings,
        "key_id": key.key_id,
        "now": now,
    }
    signature = signing.sign(private, verification.statement_to_sign(**stated))
    return verification.verify_report(**stated, signature=signature)


def operator(regulator: Regulator, scheme: Scheme, name: str, kind: str, cohort: str, first_year: int = YEAR) -> Party:
    """Open an organisation and enrol it in the scheme."""
    enrolled = party(regulator, name, kind)
    enrolled.operator = operators.enrol(
        actor=regulator.desk,
        scheme=scheme,
        organisation=enrolled.organisation,
        cohort=cohort,
        first_year=first_year,
        now=OPENING,
    )
    return enrolled


def deposit(regulator: Regulator, to: Party, scheme: Scheme, amount_minor: int) -> None:
    """Record money that arrived for a party."""
    regulator.approve(
        cash.propose_deposit(
            actor=regulator.desk,
            account=to.account,
            currency=scheme.currency,
            amount_minor=amount_minor,
            reference=f"opening {to.account.number}",
            now=OPENING,
        )
    )


def flop_scheme(regulator: Regulator, code: str = "ai-flop") -> Scheme:
    """Create a scheme in which one permit covers an exaflop."""
    return schemes.create_scheme(
        actor=regulator.desk,
        code=code,
        name="AI compute",
        metric="flop",
        unit_size=Decimal(PERMIT_FLOP),
        currency="eur",
        zone="Europe/Berlin",
        large_transfer=LARGE_TRANSFER,
        sanction_minor=SANCTION_MINOR,
        now=OPENING,
    )


def co2e_scheme(regulator: Regulator, code: str = "ai-co2e") -> Scheme:
    """Create a scheme in which one permit covers a milligram of CO2e, so that short measured runs owe something."""
    return schemes.create_scheme(
        actor=regulator.desk,
        code=code,
        name="AI emissions",
        metric="co2e",
        unit_size=Decimal("0.001"),
        currency="eur",
        zone="Europe/Berlin",
        large_transfer=LARGE_TRANSFER,
        sanction_minor=SANCTION_MINOR,
        now=OPENING,
    )


def period_of(regulator: Regulator, scheme: Scheme, year: int = YEAR) -> Period:
    """Prepare a period with the usual calendar; it is a draft until it has a cap."""
    return schemes.open_period(
        actor=regulator.desk,
        scheme=scheme,
        year=year,
        starts_on=date(year, 1, 1),
        ends_on=date(year, 12, 31),
        report_due_on=date(year + 1, 3, 31),
        surrender_due_on=date(year + 1, 9, 30),
        now=OPENING,
    )


def capped(regulator: Regulator, period: Period, quantity: int = CAP) -> Period:
    """Publish a cap, which opens the period."""
    regulator.approve(caps.propose_cap(actor=regulator.desk, period=period, quantity=quantity, now=OPENING))
    period.refresh_from_db()
    return period


def allocation_inputs(period: Period, shares: dict[Operator, int], free_pool: int | None = None) -> AllocationInputs:
    """Give each operator this many permits by its past use, and put all the rest up for auction."""
    size = allocation.permit_size(period.scheme)
    return AllocationInputs(
        scheme=period.scheme.code,
        period=period.code,
        metric=Metric(period.scheme.metric),
        permit_size=size,
        cap=CAP,
        free_pool=sum(shares.values()) if free_pool is None else free_pool,
        set_aside_pool=0,
        claims=tuple(
            GrandfatheringClaim(
                operator=allocation.operator_key(operator),
                product="compute",
                use_by_year={period.year - 1: permits * size},
                share=Decimal(1),
            )
            for operator, permits in shares.items()
        ),
    )


def allocate(regulator: Regulator, period: Period, shares: dict[Operator, int]) -> None:
    """Run an allocation from draft to journal."""
    run = allocation.draft_run(
        actor=regulator.desk, period=period, inputs=allocation_inputs(period, shares), now=OPENING
    )
    regulator.approve(allocation.propose_run(actor=regulator.desk, run=run, now=OPENING))


@pytest.fixture
def clock() -> Iterator[Clock]:
    """A clock that stands at OPENING until the test moves it."""
    clock = Clock(OPENING)
    clock.move_to(OPENING)
    yield clock
    clock.stop()


TOLD = ("regulator", "scheme", "acme", "borealis", "draft_period", "capped_period", "period")
"""The fixtures that stand ready together in most tests."""


def establish() -> Regulator:
    """Establish the regulator with its people."""
    senior = person("Sena Senior")
    office = organisations.establish_regulator(name="Office for Compute Permits", officer=senior, now=OPENING)
    desk, monitor = person("Desmond Desk"), person("Mona Monitor")
    for user, role in ((desk, "desk_officer"), (monitor, "market_monitor")):
        organisations.grant_role(actor=senior, user=user, organisation=office, role=role, now=OPENING)
    return Regulator(office, desk=desk, senior=senior, monitor=monitor)


def enrol_acme(regulator: Regulator, scheme: Scheme) -> Party:
    """Enrol a large firm."""
    return operator(regulator, scheme, "Acme", "firm", "large")


def enrol_borealis(regulator: Regulator, scheme: Scheme) -> Party:
    """Enrol an academic lab."""
    return operator(regulator, scheme, "Borealis", "lab", "academic")


def equip(regulator: Regulator, acme: Party, borealis: Party, period: Period) -> Period:
    """Give Acme and Borealis permits and money to trade with; the rest of the permits is for auction."""
    assert acme.operator is not None
    assert borealis.operator is not None
    allocate(regulator, period, {acme.operator: ACME_PERMITS, borealis.operator: BOREALIS_PERMITS})
    for trader in (acme, borealis):
        deposit(regulator, trader, period.scheme, CASH_MINOR)
    return period


def tell_the_opening() -> Ready:
    """Tell everything up to an open period in which Acme and Borealis may trade."""
    regulator = establish()
    scheme = flop_scheme(regulator)
    acme, borealis = enrol_acme(regulator, scheme), enrol_borealis(regulator, scheme)
    period = equip(regulator, acme, borealis, capped(regulator, period_of(regulator, scheme)))
    return dict(zip(TOLD, (regulator, scheme, acme, borealis, period, period, period), strict=True))


def tells_its_own(request: pytest.FixtureRequest, *names: str) -> bool:
    """Say whether the test's module tells one of these otherwise than we do."""
    told = request.node._fixtureinfo.name2fixturedefs
    return any(len(told.get(name, ())) > 1 for name in names)


def opening(request: pytest.FixtureRequest) -> Ready:
    """Have the opening ready for a test that asks for its period and tells no part of it otherwise."""
    if "period" not in request.fixturenames or tells_its_own(request, *TOLD):
        return {}
    return recall("opening", tell_the_opening, OPENING)


@pytest.fixture
def ready(request: pytest.FixtureRequest, db: None) -> Ready:
    """What a test that begins with an open period finds ready; every other test tells what it needs by itself."""
    return opening(request)


@pytest.fixture
def regulator(ready: Ready) -> Regulator:
    """The regulator, with its desk, its senior officer and its market monitor."""
    return ready.get("regulator") or establish()


@pytest.fixture
def scheme(ready: Ready, regulator: Regulator) -> Scheme:
    """A FLOP scheme whose permit covers an exaflop."""
    return ready.get("scheme") or flop_scheme(regulator)


@pytest.fixture
def acme(ready: Ready, regulator: Regulator, scheme: Scheme) -> Party:
    """A large firm."""
    return ready.get("acme") or enrol_acme(regulator, scheme)


@pytest.fixture
def borealis(ready: Ready, regulator: Regulator, scheme: Scheme) -> Party:
    """An academic lab."""
    return ready.get("borealis") or enrol_borealis(regulator, scheme)


@pytest.fixture
def cobalt(ready: Ready, regulator: Regulator, scheme: Scheme) -> Party:
    """A small firm that got no permits and no money."""
    return ready.get("cobalt") or operator(regulator, scheme, "Cobalt", "firm", "small")


@pytest.fixture
def verity(ready: Ready, regulator: Regulator) -> Party:
    """An independent verifier."""
    return ready.get("verity") or party(regulator, "Verity", "verifier")


@pytest.fixture
def auditor(ready: Ready, regulator: Regulator) -> Party:
    """Somebody who reads everything and changes nothing."""
    return ready.get("auditor") or party(regulator, "Chamber of Audit", "auditor")


@pytest.fixture
def draft_period(ready: Ready, regulator: Regulator, scheme: Scheme) -> Period:
    """A period without a cap."""
    return ready.get("draft_period") or period_of(regulator, scheme)


@pytest.fixture
def capped_period(ready: Ready, regulator: Regulator, draft_period: Period) -> Period:
    """An open period whose permits all lie in the total-quantity account."""
    return ready.get("capped_period") or capped(regulator, draft_period)


@pytest.fixture
def period(ready: Ready, regulator: Regulator, acme: Party, borealis: Party, capped_period: Period) -> Period:
    """An open period in which Acme and Borealis have permits and money to trade with; the rest is for auction."""
    return ready.get("period") or equip(regulator, acme, borealis, capped_period)


@pytest.fixture
def permit(period: Period) -> Asset:
    """The permit of the period."""
    return period.permit
