"""What is always true of schemes, allocation, reports and compliance: each figure follows from the rows before it."""

import hashlib
from datetime import datetime

from django.db.models import QuerySet

from common.invariants import Finding, Invariant, sql_invariant
from registry.efficiency_invariants import INVARIANTS as OF_EFFICIENCY
from registry.engine import allocation as engine
from registry.flexing_invariants import INVARIANTS as OF_CLAIMS
from registry.metering_invariants import INVARIANTS as OF_METERS
from registry.models import (
    AllocationRun,
    ComplianceRecord,
    EvidenceFile,
    Obligation,
    Period,
    Sanction,
    VerifierStatement,
)
from registry.plan_invariants import INVARIANTS as OF_PLANS
from registry.services import regimes, verification
from registry.services.allocation import NEW_ENTRANTS, SET_ASIDE, recomputed_lines, stored_lines
from registry.services.drafting import evidence
from registry.services.sanctions import recomputed
from registry.serving_invariants import INVARIANTS as OF_SERVING
from registry.standing import Standing, records
from registry.year_invariants import INVARIANTS as OF_THE_YEAR


def _allocations_follow_from_their_inputs(as_of: datetime | None) -> Finding:
    runs = AllocationRun.objects.select_related("period__scheme").order_by("drafted_at", "id")
    if as_of is not None:
        runs = runs.filter(drafted_at__lte=as_of)
    checked = 0
    for run in runs.iterator():
        checked += 1
        found = engine.inputs_hash(engine.inputs_from_document(run.inputs))
        if found != run.inputs_sha256:
            return checked, {"run_id": run.pk, "inputs_sha256": run.inputs_sha256, "found": found}
        if recomputed_lines(run) != stored_lines(run):
            return checked, {"run_id": run.pk, "lines": "are not those that the inputs give"}
    return checked, None


def _files_are_those_received(as_of: datetime | None) -> Finding:
    files = EvidenceFile.objects.order_by("received_at", "id")
    if as_of is not None:
        files = files.filter(received_at__lte=as_of)
    checked = 0
    for file in files.iterator():
        checked += 1
        digest, size = hashlib.sha256(), 0
        for part in evidence.read(file):
            digest.update(part)
            size += len(part)
        if (digest.hexdigest(), size) != (file.sha256, file.size):
            return checked, {"evidence_id": file.pk, "name": file.name, "sha256": file.sha256, "size": file.size}
    return checked, None


def _statements_are_signed(as_of: datetime | None) -> Finding:
    """Each statement is the document that was signed, by a key that was valid, and so is its receipt."""
    statements = VerifierStatement.objects.select_related("report", "key", "receipt_key").order_by("signed_at", "id")
    if as_of is not None:
        statements = statements.filter(signed_at__lte=as_of)
    checked = 0
    for statement in statements.iterator():
        checked += 1
        wrong = verification.holds(statement)
        if wrong:
            return checked, {"statement_id": statement.pk, "statement": wrong}
    return checked, None


def _obligations_follow_from_reports(as_of: datetime | None) -> Finding:
    obligations = Obligation.objects.select_related(
        "report__operator__scheme", "report__period", "operator__scheme", "period"
    ).order_by("id")
    if as_of is not None:
        obligations = obligations.filter(at__lte=as_of)
    checked = 0
    for obligation in obligations.iterator():
        checked += 1
        owes = regimes.surrenders(obligation.operator, obligation.period.year, at=obligation.at)
        found = verification.quantity_owed(obligation.report, obligation.at) if owes else 0
        if found != obligation.quantity:
            return checked, {"obligation_id": obligation.pk, "quantity": obligation.quantity, "found": found}
    return checked, None


def _letters_follow_from_receipts_in_time(as_of: datetime | None) -> Finding:
    letters = ComplianceRecord.objects.filter(occasion="deadline").order_by("id")
    if as_of is not None:
        letters = letters.filter(at__lte=as_of)
    checked = 0
    for period in _periods_with(letters):
        standings = _by_operator(records(period, before=period.surrender_due))
        for letter in letters.filter(period=period):
            checked += 1
            standing = standings[letter.operator_id]
            said = (letter.status, letter.owed, letter.surrendered)
            found = (standing.status, standing.owed, standing.surrendered)
            if said != found:
                return checked, {"compliance_record_id": letter.pk, "said": said, "found": found}
    return checked, None


def _last_letters_are_the_present_ones(as_of: datetime | None) -> Finding:
    letters = ComplianceRecord.objects.order_by("id")
    checked = 0
    for period in _periods_with(letters):
        standings = _by_operator(records(period))
        latest = {letter.operator_id: letter for letter in letters.filter(period=period)}
        for letter in latest.values():
            checked += 1
            standing = standings[letter.operator_id]
            if (letter.status, letter.owed, letter.surrendered) != (
                standing.status,
                standing.owed,
                standing.surrendered,
            ):
                return checked, {"compliance_record_id": letter.pk, "status": letter.status, "found": standing.status}
    return checked, None


def _sanctions_follow_from_the_deadline(as_of: datetime | None) -> Finding:
    sanctions = (
        Sanction.objects.filter(kind=Sanction.Kind.SHORTFALL)
        .select_related("period__scheme", "operator__scheme")
        .order_by("imposed_at", "id")
    )
    if as_of is not None:
        sanctions = sanctions.filter(imposed_at__lte=as_of)
    checked = 0
    standings: dict[object, dict[object, Standing]] = {}
    for sanction in sanctions:
        checked += 1
        period = sanction.period
        if period.pk not in standings:
            standings[period.pk] = _by_operator(records(period, before=period.surrender_due))
        short = standings[period.pk][sanction.operator_id].shortfall_of_the_year
        if (sanction.shortfall, (sanction.amount_minor, sanction.permits)) != (short, recomputed(sanction)):
            return checked, {"sanction_id": sanction.pk, "shortfall": sanction.shortfall, "found": short}
    return checked, None


def _periods_with(letters: "QuerySet[ComplianceRecord]") -> list[Period]:
    return list(
        Period.objects.filter(pk__in=letters.order_by().values("period")).select_related("scheme").order_by("pk")
    )


def _by_operator(standings: list[Standing]) -> dict[object, Standing]:
    return {standing.operator.pk: standing for standing in standings}


INVARIANTS: list[Invariant] = [
    sql_invariant(
        "What was issued is within the cap as published then, by two officers",
        counted="SELECT count(*) FROM registry_period WHERE status <> 'draft'",
        breaches="""
            SELECT p.id AS period_id, i.issued, c.quantity AS cap, a.status AS approval, i.transfer_id
              FROM (SELECT e.asset_id, e.transfer_id, e.at, -e.balance_after AS issued
                      FROM ledger_entry e
                      JOIN ledger_balance b ON b.id = e.balance_id
                      JOIN ledger_account l ON l.id = b.account_id AND l.kind = 'issuance'
                     WHERE e.at <= %(as_of)s::timestamptz) i
              JOIN registry_period p ON p.permit_id = i.asset_id
              LEFT JOIN LATERAL (SELECT quantity, approval_id FROM registry_cap
                                  WHERE period_id = p.id AND published_at <= i.at
                                  ORDER BY version DESC LIMIT 1) c ON true
              LEFT JOIN accounts_approval a ON a.id = c.approval_id
             WHERE c.quantity IS NULL OR i.issued > c.quantity OR a.status <> 'executed'
                OR a.decided_by_id = a.proposed_by_id
             ORDER BY p.id""",
    ),
    sql_invariant(
        "Each allocation's lines add up to its pools, and the pools to the cap",
        counted="SELECT count(*) FROM registry_allocationrun WHERE drafted_at <= %(as_of)s::timestamptz",
        breaches=f"""
            SELECT r.id AS run_id, r.cap, r.free, r.set_aside, r.kept, r.auction,
                   l.free AS free_lines, l.set_aside AS set_aside_lines, l.entrants AS entrants_lines
              FROM registry_allocationrun r
              LEFT JOIN (SELECT run_id,
                                sum(quantity) FILTER (WHERE method NOT IN ('{SET_ASIDE}', '{NEW_ENTRANTS}')) AS free,
                                sum(quantity) FILTER (WHERE method = '{SET_ASIDE}') AS set_aside,
                                sum(quantity) FILTER (WHERE method = '{NEW_ENTRANTS}') AS entrants
                           FROM registry_allocationline GROUP BY run_id) l ON l.run_id = r.id
             WHERE r.drafted_at <= %(as_of)s::timestamptz
               AND (r.free <> coalesce(l.free, 0) OR r.set_aside <> coalesce(l.set_aside, 0)
                    OR r.kept < coalesce(l.entrants, 0) OR r.cap <> r.free + r.set_aside + r.kept + r.auction)
             ORDER BY r.id""",  # noqa: S608
    ),
    sql_invariant(
        "Each executed allocation moved its lines and nothing else",
        counted="SELECT count(*) FROM registry_allocationrun WHERE executed_at <= %(as_of)s::timestamptz",
        breaches="""
            SELECT r.id AS run_id, coalesce(l.place, m.place) AS place, l.quantity, m.amount
              FROM registry_allocationrun r
             CROSS JOIN LATERAL (
                SELECT CASE WHEN x.figures ? 'consigned' THEN 'consigned by ' || o.organisation_id
                            ELSE 'account ' || o.account_id END AS place, sum(x.quantity) AS quantity
                  FROM registry_allocationline x
                  JOIN registry_operator o ON o.id = x.operator_id
                 WHERE x.run_id = r.id AND x.quantity > 0 GROUP BY 1
                UNION ALL
                SELECT 'account ' || a.id, r.auction FROM ledger_account a
                  JOIN registry_period p ON p.id = r.period_id
                  JOIN registry_scheme s ON s.id = p.scheme_id
                 WHERE r.auction > 0 AND r.stage = 'INITIAL'
                   AND a.reference = 'auction:' || s.code || '-' || p.year) l
              FULL JOIN (
                SELECT t.journal_id, CASE a.kind WHEN 'consignment' THEN 'consigned by ' || a.owner_id
                                                 ELSE 'account ' || a.id END AS place, sum(t.amount) AS amount
                  FROM ledger_transfer t
                  JOIN ledger_balance b ON b.id = t.credit_id
                  JOIN ledger_account a ON a.id = b.account_id
                  JOIN ledger_journal j ON j.id = t.journal_id AND j.kind = 'allocation'
                  LEFT JOIN registry_allocationrun f ON f.journal_id = j.id
                 WHERE a.owner_id IS NOT NULL OR (a.kind = 'auction' AND f.stage IS DISTINCT FROM 'SETTLEMENT')
                 GROUP BY t.journal_id, 2) m ON m.journal_id = r.journal_id AND m.place = l.place
             WHERE (r.executed_at IS NULL OR r.executed_at <= %(as_of)s::timestamptz)
               AND (r.status = 'executed' OR r.id IS NULL)
               AND l.quantity IS DISTINCT FROM m.amount
             ORDER BY r.id""",
    ),
    Invariant(
        "Each allocation can be worked out again from its published inputs", _allocations_follow_from_their_inputs
    ),
    Invariant("Each evidence file is the one that was received", _files_are_those_received),
    sql_invariant(
        "Each report's totals are the sums of its lines",
        counted="SELECT count(*) FROM registry_report WHERE received_at <= %(as_of)s::timestamptz",
        breaches="""
            SELECT r.id AS report_id, r.flop, l.flop AS flop_lines, r.energy_kwh, l.energy_kwh AS energy_lines,
                   r.co2e_g, l.co2e_g AS co2e_lines
              FROM registry_report r
              LEFT JOIN (SELECT report_id, sum(flop) AS flop, sum(energy_kwh) AS energy_kwh, sum(co2e_g) AS co2e_g
                           FROM registry_reportline GROUP BY report_id) l ON l.report_id = r.id
             WHERE r.kind = 'operator' AND r.received_at <= %(as_of)s::timestamptz
               AND (r.flop, r.energy_kwh, r.co2e_g) IS DISTINCT FROM (l.flop, l.energy_kwh, l.co2e_g)
             ORDER BY r.id""",
    ),
    sql_invariant(
        "Each line's emissions follow from its energy and its factor, or name the hours that they were computed by",
        counted="SELECT count(*) FROM registry_reportline",
        breaches="""
            SELECT id AS report_line_id, energy_kwh, factor_g_per_kwh, co2e_g FROM registry_reportline
             WHERE CASE WHEN factor_g_per_kwh IS NULL THEN co2e_g > 0 AND factor_source = ''
                        ELSE abs(co2e_g - energy_kwh * factor_g_per_kwh) > 0.000001 END
             ORDER BY id""",
    ),
    sql_invariant(
        "Each verified report was judged by an independent verifier, and by nobody who filed it",
        counted="SELECT count(*) FROM registry_verifierstatement WHERE signed_at <= %(as_of)s::timestamptz",
        breaches="""
            SELECT r.id AS report_id, r.status, v.id AS statement_id, v.opinion, v.verifier_id, v.signed_by_id
              FROM registry_report r
              JOIN registry_operator o ON o.id = r.operator_id
              LEFT JOIN registry_verifierstatement v ON v.report_id = r.id
              LEFT JOIN accounts_organisation g ON g.id = v.verifier_id
             WHERE r.kind = 'operator' AND r.status IN ('verified', 'superseded')
               AND (v.id IS NULL OR v.signed_at <= %(as_of)s::timestamptz)
               AND (v.id IS NULL OR v.opinion = 'negative' OR g.kind <> 'verifier' OR g.id = o.organisation_id
                    OR v.signed_by_id = r.submitted_by_id
                    OR EXISTS (SELECT FROM accounts_membership m
                                WHERE m.user_id = v.signed_by_id AND m.organisation_id = o.organisation_id
                                  AND m.granted_at <= v.signed_at AND coalesce(m.ended_at, 'infinity') > v.signed_at))
             ORDER BY r.id""",
    ),
    Invariant("Each obligation follows from its report", _obligations_follow_from_reports),
    Invariant("Each verifier's statement is signed, and so is its receipt", _statements_are_signed),
    sql_invariant(
        "Reporter, verifier and reviewer are three, under an appointment of that period",
        counted="SELECT count(*) FROM registry_verifierstatement"
        " WHERE appointment_id IS NOT NULL AND signed_at <= %(as_of)s::timestamptz",
        breaches="""
            SELECT s.id AS statement_id, s.report_id FROM registry_verifierstatement s
              JOIN registry_report r ON r.id = s.report_id
              JOIN registry_operator o ON o.id = r.operator_id
              JOIN registry_appointment a ON a.id = s.appointment_id
             WHERE s.signed_at <= %(as_of)s::timestamptz
               AND (a.operator_id <> r.operator_id OR a.period_id <> r.period_id OR a.verifier_id <> s.verifier_id
                    OR s.verifier_id = o.organisation_id OR s.signed_by_id = r.submitted_by_id
                    OR s.opinion <> 'negative'
                       AND (SELECT c.answered_by_id FROM registry_checklistanswer c
                             WHERE c.report_id = r.id AND c.item = 'independent_review' AND c.answered_at <= s.signed_at
                             ORDER BY c.id DESC LIMIT 1) IN (s.signed_by_id, r.submitted_by_id))
             ORDER BY s.id""",
    ),
    sql_invariant(
        "Each surrender moved its quantity, once, from its operator to its period, of permits that count",
        counted="SELECT count(*) FROM registry_surrender WHERE received_at <= %(as_of)s::timestamptz",
        breaches="""
            SELECT s.id AS surrender_id, s.quantity, m.moved, m.misplaced
              FROM registry_surrender s
              JOIN registry_operator o ON o.id = s.operator_id
              JOIN registry_period p ON p.id = s.period_id
              JOIN registry_scheme c ON c.id = p.scheme_id
              JOIN registry_surrender first ON first.id = coalesce(s.reverses_id, s.id)
              LEFT JOIN LATERAL (
                SELECT sum(t.amount) * CASE WHEN s.quantity < 0 THEN -1 ELSE 1 END AS moved,
                       count(*) FILTER (WHERE source.owner_id IS DISTINCT FROM o.organisation_id
                                              AND NOT EXISTS (SELECT FROM registry_holderchange h
                                                               WHERE h.operator_id = o.id
                                                                 AND h.from_organisation_id = source.owner_id)
                                           OR sink.reference <> 'surrender:' || c.code || '-' || p.year
                                           OR v.id IS NULL OR v.scheme_id <> p.scheme_id
                                           OR v.year > p.year AND first.kind NOT IN ('set_off', 'remainder')
                                              AND NOT (first.received_at >= p.surrender_due
                                                       AND EXISTS (SELECT FROM registry_rule r
                                                                    WHERE r.scheme_id = p.scheme_id
                                                                      AND r.name = 'sanction.mode'
                                                                      AND r.value = '"PERMITS"'))
                       ) AS misplaced
                  FROM ledger_transfer t
                  JOIN ledger_balance debit ON debit.id = t.debit_id
                  JOIN ledger_balance credit ON credit.id = t.credit_id
                  JOIN ledger_account source
                    ON source.id = CASE WHEN s.quantity > 0 THEN debit.account_id ELSE credit.account_id END
                  JOIN ledger_account sink
                    ON sink.id = CASE WHEN s.quantity > 0 THEN credit.account_id ELSE debit.account_id END
                  LEFT JOIN registry_period v ON v.permit_id = t.asset_id
                 WHERE t.journal_id = s.journal_id) m ON true
             WHERE s.received_at <= %(as_of)s::timestamptz
               AND (m.moved IS DISTINCT FROM s.quantity OR m.misplaced > 0)
             ORDER BY s.id""",
    ),
    sql_invariant(
        "What lies in a surrender account was surrendered",
        counted="SELECT count(*) FROM ledger_account WHERE kind = 'surrender'",
        breaches="""
            SELECT a.id AS account_id, a.reference, coalesce(b.lies, 0) AS lies, coalesce(s.given, 0) AS given
              FROM ledger_account a
              LEFT JOIN (SELECT account_id, sum(balance) AS lies FROM ledger_balance GROUP BY account_id) b
                     ON b.account_id = a.id
              LEFT JOIN (SELECT 'surrender:' || c.code || '-' || p.year AS reference, sum(x.quantity) AS given
                           FROM registry_surrender x
                           JOIN registry_period p ON p.id = x.period_id
                           JOIN registry_scheme c ON c.id = p.scheme_id
                          GROUP BY c.code, p.year) s ON s.reference = a.reference
             WHERE a.kind = 'surrender' AND coalesce(b.lies, 0) <> coalesce(s.given, 0)
             ORDER BY a.id""",
        present_only=True,
    ),
    sql_invariant(
        "Each transaction that was carried out moved its quantity from its sender to its receiver",
        counted="SELECT count(*) FROM registry_transaction WHERE ended_at <= %(as_of)s::timestamptz",
        breaches="""
            SELECT x.id AS transaction_id, x.kind, x.quantity, x.journal_id FROM registry_transaction x
             WHERE x.status IN ('completed', 'reversed') AND x.ended_at <= %(as_of)s::timestamptz
               AND NOT EXISTS (SELECT FROM ledger_transfer t
                                 JOIN ledger_balance d ON d.id = t.debit_id
                                 JOIN ledger_balance c ON c.id = t.credit_id
                                WHERE t.journal_id = x.journal_id AND t.asset_id = x.asset_id AND t.amount = x.quantity
                                  AND d.account_id = x.sender_id AND c.account_id = x.receiver_id)
             ORDER BY x.proposed_at, x.id""",
    ),
    sql_invariant(
        "Each transaction that waits holds its permits, and no other does",
        counted="SELECT count(*) FROM registry_transaction"
        " WHERE status IN ('proposed', 'delayed', 'awaiting_receiver')",
        breaches="""
            SELECT x.id AS transaction_id, h.id AS hold_id, x.quantity, h.quantity AS held
              FROM (SELECT x.* FROM registry_transaction x JOIN ledger_account a ON a.id = x.sender_id
                     WHERE x.status IN ('proposed', 'delayed', 'awaiting_receiver')
                       AND a.kind NOT IN ('surrender', 'cancellation')) x
              FULL JOIN (SELECT h.*, b.account_id, b.asset_id FROM ledger_hold h
                           JOIN ledger_balance b ON b.id = h.balance_id
                          WHERE h.purpose = 'transaction' AND h.status = 'open') h ON h.reference = x.id::text
             WHERE (x.sender_id, x.asset_id, x.quantity) IS DISTINCT FROM (h.account_id, h.asset_id, h.quantity)
             ORDER BY x.id, h.id""",
        present_only=True,
    ),
    Invariant("Each letter at a deadline depends on receipts in time only", _letters_follow_from_receipts_in_time),
    Invariant("Each operator's last letter is the present one", _last_letters_are_the_present_ones, present_only=True),
    Invariant("Each sanction follows from what was missing at the deadline", _sanctions_follow_from_the_deadline),
    *OF_PLANS,
    *OF_METERS,
    *OF_SERVING,
    *OF_CLAIMS,
    *OF_EFFICIENCY,
    *OF_THE_YEAR,
]
