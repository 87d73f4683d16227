DROP FUNCTION ledger_lock_balances(bigint[], bigint[]);
DROP FUNCTION ledger_open_balances(bigint[], bigint[]);
DROP TRIGGER balance_no_truncate ON ledger_balance;
DROP FUNCTION ledger_balance_never_emptied();
DROP TRIGGER account_status_carried_over ON ledger_account;
DROP FUNCTION ledger_account_status_carried_over();
DROP TRIGGER balance_copies_account ON ledger_balance;
DROP FUNCTION ledger_balance_copies_account();
ALTER TABLE ledger_balance RESET (fillfactor);
