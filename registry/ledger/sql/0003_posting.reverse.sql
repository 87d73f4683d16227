DROP FUNCTION ledger_post_one(text, text, uuid, timestamptz, text, uuid, bigint, bigint, bigint, bigint);
DROP FUNCTION ledger_post(text, text, uuid, timestamptz, text, bigint, uuid[], bigint[], bigint[], bigint[], bigint[]);
DROP FUNCTION ledger_repeated(text, text, bigint, uuid[], bigint[], bigint[], bigint[], bigint[]);
DROP FUNCTION ledger_used_key(uuid[]);
DROP FUNCTION ledger_move_balances(bigint[], bigint[], bigint[], timestamptz);
DROP TYPE ledger_posted;
