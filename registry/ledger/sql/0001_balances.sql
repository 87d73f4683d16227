-- Balances: room for updates in place, facts copied from the account, and rows made on first use.

ALTER TABLE ledger_balance SET (fillfactor = 50);

-- A new balance takes its facts from the account, under a lock that a change of status waits for.
CREATE FUNCTION ledger_balance_copies_account() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT a.contra, a.kind IN ('surrender', 'cancellation'), a.status INTO NEW.contra, NEW.sink, NEW.status
    FROM ledger_account a WHERE a.id = NEW.account_id FOR SHARE;
  RETURN NEW;
END $$;

CREATE TRIGGER balance_copies_account BEFORE INSERT ON ledger_balance
  FOR EACH ROW EXECUTE FUNCTION ledger_balance_copies_account();

-- A change of status waits for the postings under way, in the order of ids in which they lock.
CREATE FUNCTION ledger_account_status_carried_over() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM ledger_balance WHERE account_id = NEW.id ORDER BY id FOR NO KEY UPDATE;
  UPDATE ledger_balance SET status = NEW.status WHERE account_id = NEW.id;
  RETURN NULL;
END $$;

CREATE TRIGGER account_status_carried_over AFTER UPDATE OF status ON ledger_account
  FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION ledger_account_status_carried_over();

CREATE FUNCTION ledger_balance_never_emptied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is never emptied', TG_TABLE_NAME USING ERRCODE = '0A000';
END $$;

CREATE TRIGGER balance_no_truncate BEFORE TRUNCATE ON ledger_balance
  FOR EACH STATEMENT EXECUTE FUNCTION ledger_balance_never_emptied();

-- Make the balances that are missing among (account, asset) pairs. Pairs that name nothing known are passed over.
CREATE FUNCTION ledger_open_balances(accounts bigint[], assets bigint[]) RETURNS void LANGUAGE sql AS $$
  INSERT INTO ledger_balance (account_id, asset_id, balance, held, entries, contra, sink, status)
  SELECT u.account, u.asset, 0, 0, 0, false, false, 'open'
    FROM (SELECT DISTINCT account, asset FROM unnest(accounts, assets) p(account, asset)) u
    JOIN ledger_account a ON a.id = u.account
    JOIN ledger_asset s ON s.id = u.asset
   ORDER BY u.account, u.asset
      ON CONFLICT (account_id, asset_id) DO NOTHING
$$;

-- Lock the balances of (account, asset) pairs, each once, in the order of their ids, and return them.
-- A join and not "= ANY": a row that changed while we waited is checked again, and against an array that costs the
-- square of the batch. Plans are pinned: array parameters hide the size of the batch from the planner.
CREATE FUNCTION ledger_lock_balances(accounts bigint[], assets bigint[]) RETURNS ledger_balance[]
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  locked ledger_balance[];
BEGIN
  SELECT array_agg(x.b) INTO locked
    FROM (SELECT b
            FROM (SELECT DISTINCT account, asset FROM unnest(accounts, assets) p(account, asset)) u
            JOIN ledger_balance b ON b.account_id = u.account AND b.asset_id = u.asset
           ORDER BY b.id
             FOR NO KEY UPDATE OF b) x;
  RETURN locked;
END $$;
