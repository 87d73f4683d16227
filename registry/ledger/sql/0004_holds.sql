-- Holds: reserving and giving back parts of balances, always under the balance's lock, so that what is posted and what
-- is held are read together. As in posting, a refusal is an answer and not an error.

ALTER TABLE ledger_hold SET (fillfactor = 70);

CREATE TYPE ledger_held AS (outcome text, line bigint, account bigint);

-- Open a hold, once for each purpose and reference; the same request again finds it. A quantity of 0 opens a standing
-- hold for ledger_set_holds to move.
CREATE FUNCTION ledger_open_hold(p_account bigint, p_asset bigint, p_quantity bigint, p_purpose text, p_reference text,
                                 p_now timestamptz, OUT outcome text, OUT hold bigint)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  b ledger_balance;
  known ledger_hold;
BEGIN
  SELECT * INTO b FROM ledger_balance x WHERE x.account_id = p_account AND x.asset_id = p_asset FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    PERFORM ledger_open_balances(ARRAY[p_account], ARRAY[p_asset]);
    SELECT * INTO b FROM ledger_balance x WHERE x.account_id = p_account AND x.asset_id = p_asset FOR NO KEY UPDATE;
    IF NOT FOUND THEN
      outcome := CASE WHEN EXISTS (SELECT FROM ledger_account a WHERE a.id = p_account)
                      THEN 'asset_unknown' ELSE 'account_unknown' END;
      RETURN;
    END IF;
  END IF;
  SELECT * INTO known FROM ledger_hold h
   WHERE h.balance_id = b.id AND h.purpose = p_purpose AND h.reference = p_reference;
  IF FOUND THEN
    hold := known.id;
    outcome := CASE WHEN known.quantity = p_quantity THEN 'held' ELSE 'key_reused' END;
  ELSIF p_quantity NOT BETWEEN 0 AND 1000000000000000 THEN
    outcome := 'quantity_out_of_range';
  ELSIF b.status <> 'open' THEN
    outcome := 'account_' || b.status;
  ELSIF NOT b.contra AND b.balance - b.held < p_quantity THEN
    outcome := 'insufficient_available';
  ELSE
    INSERT INTO ledger_hold (balance_id, quantity, purpose, reference, status, opened_at)
    VALUES (b.id, p_quantity, p_purpose, p_reference, 'open', p_now) RETURNING id INTO hold;
    UPDATE ledger_balance SET held = held + p_quantity WHERE id = b.id;
    outcome := 'held';
  END IF;
END $$;

-- Give each named open hold its new quantity. With an ending ('released' or 'captured') the holds end instead.
-- Plans are pinned as in ledger_lock_balances.
CREATE FUNCTION ledger_set_holds(holds bigint[], quantities bigint[], p_ending text, p_now timestamptz)
RETURNS ledger_held
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  refused_line bigint;
  refused_code text;
  refused_account bigint;
BEGIN
  PERFORM 1
     FROM (SELECT DISTINCT h.balance_id FROM unnest(holds) u(id) JOIN ledger_hold h ON h.id = u.id) x
     JOIN ledger_balance b ON b.id = x.balance_id
    ORDER BY b.id
      FOR NO KEY UPDATE OF b;

  -- a new statement, so that it sees what the holders of those locks have written
  WITH change AS MATERIALIZED (
    SELECT u.line, u.quantity, h.id, h.quantity AS before, h.status, b.id AS balance_id, b.account_id, b.balance,
           b.held, b.contra, b.status AS account_status,
           count(*) OVER (PARTITION BY u.id) AS times,
           sum(u.quantity - h.quantity) OVER (PARTITION BY h.balance_id) AS delta
      FROM unnest(holds, quantities) WITH ORDINALITY u(id, quantity, line)
      LEFT JOIN ledger_hold h ON h.id = u.id
      LEFT JOIN ledger_balance b ON b.id = h.balance_id
  ), refusal AS MATERIALIZED (
    SELECT x.* FROM (
      SELECT c.line, c.account_id,
             CASE WHEN c.id IS NULL THEN 'hold_unknown'
                  WHEN c.times > 1 THEN 'hold_named_twice'
                  WHEN c.status <> 'open' THEN 'hold_ended'
                  WHEN c.quantity NOT BETWEEN 0 AND 1000000000000000 THEN 'quantity_out_of_range'
                  WHEN c.quantity > c.before AND c.account_status <> 'open' THEN 'account_' || c.account_status
                  WHEN c.delta > 0 AND NOT c.contra AND c.held + c.delta > c.balance THEN 'insufficient_available'
             END AS code
        FROM change c) x
     WHERE x.code IS NOT NULL
     ORDER BY x.line LIMIT 1
  ), moved AS (
    UPDATE ledger_hold h
       SET quantity = CASE WHEN p_ending IS NULL THEN c.quantity ELSE h.quantity END,
           status = coalesce(p_ending, h.status),
           ended_at = CASE WHEN p_ending IS NULL THEN NULL ELSE p_now END
      FROM change c
     WHERE h.id = c.id AND (c.quantity <> c.before OR p_ending IS NOT NULL) AND NOT EXISTS (SELECT FROM refusal)
  ), carried AS (
    UPDATE ledger_balance b
       SET held = b.held + x.delta::bigint
      FROM (SELECT DISTINCT balance_id, delta FROM change WHERE delta <> 0) x
     WHERE b.id = x.balance_id AND NOT EXISTS (SELECT FROM refusal)
  )
  SELECT r.line, r.code, r.account_id INTO refused_line, refused_code, refused_account FROM refusal r;

  RETURN ROW(coalesce(refused_code, 'held'), refused_line, refused_account)::ledger_held;
END $$;

-- One hold by the short way. Whatever is not plainly in order goes to ledger_set_holds, which knows all the answers.
CREATE FUNCTION ledger_set_hold(p_hold bigint, p_quantity bigint) RETURNS ledger_held
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  b ledger_balance;
  h ledger_hold;
BEGIN
  SELECT x.* INTO b FROM ledger_balance x
   WHERE x.id = (SELECT y.balance_id FROM ledger_hold y WHERE y.id = p_hold) FOR NO KEY UPDATE;
  SELECT y.* INTO h FROM ledger_hold y WHERE y.id = p_hold;
  IF h.status = 'open' AND p_quantity BETWEEN 0 AND 1000000000000000
     AND (p_quantity <= h.quantity
          OR b.status = 'open' AND (b.contra OR b.balance - b.held >= p_quantity - h.quantity)) THEN
    UPDATE ledger_hold SET quantity = p_quantity WHERE id = p_hold;
    UPDATE ledger_balance SET held = held + p_quantity - h.quantity WHERE id = b.id;
    RETURN ROW('held', NULL, NULL)::ledger_held;
  END IF;
  RETURN ledger_set_holds(ARRAY[p_hold], ARRAY[p_quantity], NULL, NULL);
END $$;
