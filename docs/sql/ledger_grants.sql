-- Rights on the ledger in production. Run as the owner of the tables after each migration of the ledger:
--
--     psql "$OWNER_DATABASE_URL" -v ON_ERROR_STOP=1 -v app=headroom_app -v auditor=headroom_auditor -f docs/sql/ledger_grants.sql
--
-- The owner migrates; the application's role works. The application writes what moves only through the functions below,
-- which run with the owner's rights; it may read everything, and it may not UPDATE, DELETE or TRUNCATE what only grows.

REVOKE ALL ON ledger_asset, ledger_account, ledger_balance, ledger_journal, ledger_transfer, ledger_hold, ledger_mark,
              ledger_serial_block, ledger_serial_stop, ledger_entry FROM PUBLIC, :app, :auditor;
GRANT SELECT ON ledger_asset, ledger_account, ledger_balance, ledger_journal, ledger_transfer, ledger_hold, ledger_mark,
                ledger_serial_block, ledger_serial_stop, ledger_entry TO :app, :auditor;

-- Naming assets, opening accounts, and moving an account along its lifecycle.
GRANT INSERT ON ledger_asset, ledger_account TO :app;
GRANT UPDATE (status) ON ledger_account TO :app;
GRANT USAGE ON SEQUENCE ledger_account_id_seq, ledger_asset_id_seq TO :app;
-- The limit on what may be issued. FOR UPDATE in services needs a right to update something of the row.
GRANT UPDATE (issue_limit) ON ledger_balance TO :app;
-- Serial blocks and their mark are derived data, written by the background worker.
GRANT INSERT, UPDATE ON ledger_serial_block, ledger_mark TO :app;
GRANT USAGE ON SEQUENCE ledger_serial_block_id_seq TO :app;
-- Stopped serial numbers: ordered once, and ended once, which triggers guard.
GRANT INSERT, UPDATE (until) ON ledger_serial_stop TO :app;
GRANT USAGE ON SEQUENCE ledger_serial_stop_id_seq TO :app;

-- Everything that moves or reserves, with the owner's rights and a fixed place to look for names.
DO $$
DECLARE
  entrance regprocedure;
BEGIN
  FOR entrance IN
    SELECT p.oid FROM pg_proc p
     WHERE p.pronamespace = 'public'::regnamespace
       AND p.proname IN ('ledger_post', 'ledger_post_one', 'ledger_open_balances', 'ledger_lock_balances',
                         'ledger_open_hold', 'ledger_set_hold', 'ledger_set_holds',
                         'ledger_account_status_carried_over')
  LOOP
    EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = public, pg_temp', entrance);
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', entrance);
  END LOOP;
END $$;
-- What they are made of is for the owner alone.
REVOKE EXECUTE ON FUNCTION ledger_move_balances(bigint[], bigint[], bigint[], timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION
  ledger_post(text, text, uuid, timestamptz, text, bigint, uuid[], bigint[], bigint[], bigint[], bigint[]),
  ledger_post_one(text, text, uuid, timestamptz, text, uuid, bigint, bigint, bigint, bigint),
  ledger_open_balances(bigint[], bigint[]),
  ledger_lock_balances(bigint[], bigint[]),
  ledger_open_hold(bigint, bigint, bigint, text, text, timestamptz),
  ledger_set_hold(bigint, bigint),
  ledger_set_holds(bigint[], bigint[], text, timestamptz)
TO :app;
