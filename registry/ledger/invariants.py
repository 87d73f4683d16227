"""What is always true of the ledger: kept by constraints and by the posting functions, and here asked of all rows."""

from common.invariants import Invariant, sql_invariant
from common.quantities import MAX_ENTRY
from registry.ledger.models.account import SINKS

_TRANSFERS = "SELECT count(*) FROM ledger_transfer WHERE at <= %(as_of)s::timestamptz"
_ENTRIES = "SELECT 2 * count(*) FROM ledger_transfer WHERE at <= %(as_of)s::timestamptz"
_BALANCES = "SELECT count(*) FROM ledger_balance"
_SINKS = ", ".join(f"'{kind}'" for kind in sorted(SINKS))
_SERIALS_READ = "coalesce((SELECT up_to FROM ledger_mark WHERE name = 'serial_blocks'), 0)"

INVARIANTS: list[Invariant] = [
    sql_invariant(
        "Each balance is the sum of its entries",
        counted=_BALANCES,
        breaches="""
            SELECT b.id AS balance_id, e.balance_id AS entries_of, b.account_id, b.asset_id, b.balance, e.total,
                   b.entries, e.entries AS entries_found
              FROM ledger_balance b
              FULL JOIN (SELECT balance_id, sum(amount) AS total, count(*) AS entries FROM ledger_entry
                          GROUP BY balance_id) e ON e.balance_id = b.id
             WHERE b.id IS NULL OR b.balance <> coalesce(e.total, 0) OR b.entries <> coalesce(e.entries, 0)
             ORDER BY b.id""",
        present_only=True,
    ),
    sql_invariant(
        "Each entry follows from the one before it, without a gap",
        counted=_ENTRIES,
        breaches="""
            SELECT * FROM (
                SELECT balance_id, seq, transfer_id, amount, balance_after, at,
                       lag(seq, 1, 0::bigint) OVER w AS seq_before,
                       lag(balance_after, 1, 0::bigint) OVER w AS balance_before,
                       lag(at) OVER w AS at_before
                  FROM ledger_entry WHERE at <= %(as_of)s::timestamptz
                WINDOW w AS (PARTITION BY balance_id ORDER BY seq)) chain
             WHERE seq <> seq_before + 1 OR balance_after <> balance_before + amount OR at < at_before
             ORDER BY balance_id, seq""",
    ),
    sql_invariant(
        "Each asset sums to zero over all accounts",
        counted="SELECT count(*) FROM ledger_asset",
        breaches="""
            SELECT asset_id, sum(balance_after) AS total
              FROM (SELECT DISTINCT ON (balance_id) balance_id, asset_id, balance_after FROM ledger_entry
                     WHERE at <= %(as_of)s::timestamptz ORDER BY balance_id, seq DESC) latest
             GROUP BY asset_id HAVING sum(balance_after) <> 0 ORDER BY asset_id""",
    ),
    sql_invariant(
        "No account was ever overdrawn",
        counted=_ENTRIES,
        breaches="""
            SELECT e.balance_id, e.seq, e.transfer_id, e.amount, e.balance_after
              FROM ledger_entry e
              JOIN ledger_balance b ON b.id = e.balance_id
              JOIN ledger_account a ON a.id = b.account_id
             WHERE NOT a.contra AND e.balance_after < 0 AND e.at <= %(as_of)s::timestamptz
             ORDER BY e.balance_id, e.seq""",
    ),
    sql_invariant(
        "What is held is covered by the balance",
        counted=_BALANCES,
        breaches="""
            SELECT b.id AS balance_id, b.account_id, b.asset_id, b.balance, b.held
              FROM ledger_balance b JOIN ledger_account a ON a.id = b.account_id
             WHERE b.held < 0 OR NOT a.contra AND b.balance < b.held ORDER BY b.id""",
        present_only=True,
    ),
    sql_invariant(
        "What is held is the sum of the open holds",
        counted="SELECT count(*) FROM ledger_hold WHERE status = 'open'",
        breaches="""
            SELECT b.id AS balance_id, b.account_id, b.asset_id, b.held, h.open_holds
              FROM ledger_balance b
              FULL JOIN (SELECT balance_id, sum(quantity) AS open_holds FROM ledger_hold WHERE status = 'open'
                          GROUP BY balance_id) h ON h.balance_id = b.id
             WHERE b.id IS NULL OR b.held <> coalesce(h.open_holds, 0) ORDER BY b.id""",
        present_only=True,
    ),
    sql_invariant(
        "No more is issued than the limit allows",
        counted="SELECT count(*) FROM ledger_balance WHERE issue_limit IS NOT NULL",
        breaches="""
            SELECT id AS balance_id, account_id, asset_id, balance, issue_limit
              FROM ledger_balance WHERE balance < -issue_limit ORDER BY id""",
        present_only=True,
    ),
    sql_invariant(
        "Each balance agrees with its account about status and kind",
        counted=_BALANCES,
        breaches=f"""
            SELECT b.id AS balance_id, b.account_id, b.status, a.status AS account_status, b.contra, b.sink
              FROM ledger_balance b LEFT JOIN ledger_account a ON a.id = b.account_id
             WHERE a.id IS NULL OR b.status <> a.status OR b.contra <> a.contra OR b.sink <> (a.kind IN ({_SINKS}))
             ORDER BY b.id""",  # noqa: S608 - two words of our own
        present_only=True,
    ),
    sql_invariant(
        "Each transfer joins two balances of its asset, in a journal",
        counted=_TRANSFERS,
        breaches="""
            SELECT t.id AS transfer_id, t.journal_id, t.asset_id, t.debit_id, t.credit_id
              FROM ledger_transfer t
              LEFT JOIN ledger_balance d ON d.id = t.debit_id AND d.asset_id = t.asset_id
              LEFT JOIN ledger_balance c ON c.id = t.credit_id AND c.asset_id = t.asset_id
              LEFT JOIN ledger_journal j ON j.id = t.journal_id
             WHERE (d.id IS NULL OR c.id IS NULL OR j.id IS NULL OR d.id = c.id) AND t.at <= %(as_of)s::timestamptz
             ORDER BY t.id""",
    ),
    sql_invariant(
        "Each amount is a whole number in range",
        counted=_TRANSFERS,
        breaches=f"""
            SELECT id AS transfer_id, amount FROM ledger_transfer
             WHERE amount NOT BETWEEN 1 AND {MAX_ENTRY} AND at <= %(as_of)s::timestamptz ORDER BY id""",  # noqa: S608
    ),
    sql_invariant(
        "Each key moved something at most once",
        counted=_TRANSFERS,
        breaches="""
            SELECT key, count(*) AS times, min(id) AS first_transfer, max(id) AS last_transfer
              FROM ledger_transfer WHERE at <= %(as_of)s::timestamptz
             GROUP BY key HAVING count(*) > 1 ORDER BY min(id)""",
    ),
    sql_invariant(
        "Each business reference was posted at most once",
        counted="SELECT count(*) FROM ledger_journal WHERE at <= %(as_of)s::timestamptz",
        breaches="""
            SELECT reference, count(*) AS times, min(id) AS first_journal, max(id) AS last_journal
              FROM ledger_journal WHERE at <= %(as_of)s::timestamptz
             GROUP BY reference HAVING count(*) > 1 ORDER BY min(id)""",
    ),
    sql_invariant(
        "Surrendered and cancelled units came back only by a reversal",
        counted=f"""
            SELECT count(*) FROM ledger_transfer t JOIN ledger_balance c ON c.id = t.credit_id
              JOIN ledger_account a ON a.id = c.account_id
             WHERE a.kind IN ({_SINKS}) AND t.at <= %(as_of)s::timestamptz""",  # noqa: S608
        breaches=f"""
            SELECT t.id AS transfer_id, t.journal_id, a.number, t.amount
              FROM ledger_transfer t
              JOIN ledger_balance d ON d.id = t.debit_id
              JOIN ledger_account a ON a.id = d.account_id
              JOIN ledger_journal j ON j.id = t.journal_id
             WHERE a.kind IN ({_SINKS}) AND j.reverses_id IS NULL AND t.at <= %(as_of)s::timestamptz
             ORDER BY t.id""",  # noqa: S608
    ),
    sql_invariant(
        "Each reversal undoes exactly the journal it points at",
        counted="""
            SELECT count(*) FROM ledger_journal WHERE reverses_id IS NOT NULL AND at <= %(as_of)s::timestamptz""",
        breaches="""
            SELECT j.id AS journal_id, j.reverses_id, e.balance_id, sum(e.amount) AS left_over
              FROM ledger_journal j JOIN ledger_entry e ON e.journal_id IN (j.id, j.reverses_id)
             WHERE j.reverses_id IS NOT NULL AND j.at <= %(as_of)s::timestamptz
             GROUP BY j.id, j.reverses_id, e.balance_id HAVING sum(e.amount) <> 0 ORDER BY j.id""",
    ),
    sql_invariant(
        "Each serial number was in one place at a time",
        counted="SELECT count(*) FROM ledger_serial_block",
        breaches="""
            SELECT x.asset_id, x.id AS block_id, y.id AS other_block_id, x.first, x.last, y.first AS other_first,
                   y.last AS other_last
              FROM ledger_serial_block x
              JOIN ledger_serial_block y ON y.asset_id = x.asset_id AND y.id > x.id
               AND int8range(y.first, y.last, '[]') && int8range(x.first, x.last, '[]')
               AND int8range(y.since, y.until) && int8range(x.since, x.until)
             ORDER BY x.id""",
        present_only=True,
    ),
    sql_invariant(
        "Serial blocks cover every permit up to the last transfer read",
        counted="SELECT count(*) FROM ledger_serial_block WHERE until IS NULL",
        breaches=f"""
            SELECT coalesce(s.balance_id, e.balance_id) AS balance_id, e.total AS permits, s.numbered
              FROM (SELECT e.balance_id, sum(e.amount) AS total
                      FROM ledger_entry e JOIN ledger_asset a ON a.id = e.asset_id
                     WHERE a.kind = 'permit' AND e.transfer_id <= {_SERIALS_READ} GROUP BY e.balance_id) e
              FULL JOIN (SELECT balance_id, sum(last - first + 1) AS numbered FROM ledger_serial_block
                          WHERE until IS NULL GROUP BY balance_id) s ON s.balance_id = e.balance_id
              LEFT JOIN ledger_balance b ON b.id = coalesce(s.balance_id, e.balance_id)
             WHERE NOT coalesce(b.contra, false) AND coalesce(s.numbered, 0) <> coalesce(e.total, 0)
             UNION ALL
            SELECT NULL, max(last), sum(last - first + 1) FROM ledger_serial_block WHERE until IS NULL
             GROUP BY asset_id HAVING max(last) <> sum(last - first + 1)""",  # noqa: S608
        present_only=True,
    ),
    sql_invariant(
        "Each permit with a stopped number is held where it lies",
        counted="SELECT count(*) FROM ledger_serial_stop WHERE until IS NULL",
        breaches="""
            SELECT s.reference, x.account_id, s.asset_id, s.numbers, coalesce(h.quantity, 0) AS held
              FROM (SELECT t.reference, t.asset_id, b.balance_id,
                           sum(least(b.last, t.last) - greatest(b.first, t.first) + 1) AS numbers
                      FROM ledger_serial_stop t
                      JOIN ledger_serial_block b ON b.asset_id = t.asset_id AND b.until IS NULL
                       AND b.first <= t.last AND b.last >= t.first
                     WHERE t.until IS NULL GROUP BY t.reference, t.asset_id, b.balance_id) s
              JOIN ledger_balance x ON x.id = s.balance_id
              LEFT JOIN ledger_hold h ON h.balance_id = s.balance_id AND h.purpose = 'serial_stop'
               AND h.reference = s.reference AND h.status = 'open'
             WHERE x.status <> 'frozen' AND coalesce(h.quantity, 0) <> s.numbers
             ORDER BY s.reference, x.account_id""",
        present_only=True,
    ),
    sql_invariant(
        "Journals and transfers are guarded against UPDATE, DELETE and TRUNCATE",
        counted="SELECT 6",
        breaches="""
            SELECT guarded.name AS table_name, event.name AS unguarded_against
              FROM (VALUES ('ledger_journal'), ('ledger_transfer')) guarded(name)
             CROSS JOIN (VALUES ('DELETE', 8), ('UPDATE', 16), ('TRUNCATE', 32)) event(name, bit)
             WHERE NOT EXISTS (
                SELECT FROM pg_trigger t
                 WHERE t.tgrelid = guarded.name::regclass AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A')
                   AND t.tgqual IS NULL AND (t.tgtype::int & 2) <> 0 AND (t.tgtype::int & event.bit) <> 0
                   AND (t.tgname LIKE 'pgtrigger_append_only%%' OR t.tgname LIKE 'pgtrigger_no_truncate%%'))
             ORDER BY 1, 2""",
        present_only=True,
    ),
]
