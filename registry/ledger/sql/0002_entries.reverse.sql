DROP FUNCTION ledger_balance_after(bigint, bigint);
DROP FUNCTION ledger_entries_by(bigint, timestamptz, boolean);
DROP VIEW ledger_entry;
