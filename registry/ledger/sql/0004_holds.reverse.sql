DROP FUNCTION ledger_set_hold(bigint, bigint);
DROP FUNCTION ledger_set_holds(bigint[], bigint[], text, timestamptz);
DROP FUNCTION ledger_open_hold(bigint, bigint, bigint, text, text, timestamptz);
DROP TYPE ledger_held;
ALTER TABLE ledger_hold RESET (fillfactor);
