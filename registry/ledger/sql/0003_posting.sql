-- Posting: the only way in which anything moves. Each call posts one journal or changes nothing.
--
-- outcome   'posted'; 'repeated' when the reference is known with the same content; otherwise the code of a refusal
-- line      of a refusal: which transfer, counted from 1
-- account   of a refusal: which account, where one is to blame
--
-- A refusal is an answer and not an error, so that the caller's transaction may go on without a savepoint. The CHECK
-- and UNIQUE constraints stand behind it: whatever passes a mistake here stops there.

CREATE TYPE ledger_posted AS (outcome text, journal bigint, at timestamptz, line bigint, account bigint);

-- Plans are pinned as in ledger_lock_balances. Relative, so that a stale value can never be written.
CREATE FUNCTION ledger_move_balances(ids bigint[], deltas bigint[], counts bigint[], booked timestamptz) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  UPDATE ledger_balance b
     SET balance = b.balance + x.delta, entries = b.entries + x.entries, last_at = booked
    FROM unnest(ids, deltas, counts) x(id, delta, entries)
   WHERE b.id = x.id;
END $$;

-- Return the line of a key that has been used before, or nothing.
CREATE FUNCTION ledger_used_key(keys uuid[]) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off
SET enable_nestloop = on SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  RETURN (SELECT min(k.line) FROM unnest(keys) WITH ORDINALITY k(key, line)
            JOIN ledger_transfer t ON t.key = k.key);
END $$;

-- Answer for a reference that is taken: the stored journal if its content is the same, otherwise a refusal.
CREATE FUNCTION ledger_repeated(p_reference text, p_kind text, p_reverses bigint, keys uuid[], debits bigint[],
                                credits bigint[], assets bigint[], amounts bigint[]) RETURNS ledger_posted
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
DECLARE
  stored ledger_journal;
  same bigint;
  total bigint;
BEGIN
  SELECT * INTO STRICT stored FROM ledger_journal j WHERE j.reference = p_reference;
  SELECT count(*) INTO total FROM ledger_transfer t WHERE t.journal_id = stored.id;
  SELECT count(*) INTO same
    FROM unnest(keys, debits, credits, assets, amounts) u(key, debit, credit, asset, amount)
    JOIN ledger_transfer t ON t.key = u.key
    JOIN ledger_balance d ON d.id = t.debit_id
    JOIN ledger_balance c ON c.id = t.credit_id
   WHERE t.journal_id = stored.id AND t.asset_id = u.asset AND t.amount = u.amount
     AND d.account_id = u.debit AND c.account_id = u.credit;
  IF stored.kind = p_kind AND stored.reverses_id IS NOT DISTINCT FROM p_reverses
     AND total = cardinality(keys) AND same = total THEN
    RETURN ROW('repeated', stored.id, stored.at, NULL, NULL)::ledger_posted;
  END IF;
  RETURN ROW('key_reused', stored.id, stored.at, NULL, NULL)::ledger_posted;
END $$;

CREATE FUNCTION ledger_post(p_kind text, p_reference text, p_actor uuid, p_now timestamptz, p_note text,
                            p_reverses bigint, keys uuid[], debits bigint[], credits bigint[], assets bigint[],
                            amounts bigint[]) RETURNS ledger_posted
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_nestloop = off
SET jit = off AS $$
DECLARE
  locked ledger_balance[];
  pairs bigint;
  booked timestamptz;
  new_journal bigint;
  moved_ids bigint[];
  deltas bigint[];
  counts bigint[];
  refused_line bigint;
  refused_code text;
  refused_account bigint;
BEGIN
  SELECT u.line, CASE WHEN u.debit = u.credit THEN 'same_account' ELSE 'quantity_out_of_range' END
    INTO refused_line, refused_code
    FROM unnest(debits, credits, amounts) WITH ORDINALITY u(debit, credit, amount, line)
   WHERE u.debit = u.credit OR u.amount NOT BETWEEN 1 AND 1000000000000000
   ORDER BY u.line LIMIT 1;
  IF FOUND THEN
    RETURN ROW(refused_code, NULL, NULL, refused_line, debits[refused_line])::ledger_posted;
  END IF;

  locked := ledger_lock_balances(debits || credits, assets || assets);
  SELECT count(*) INTO pairs
    FROM (SELECT DISTINCT a, s FROM unnest(debits || credits, assets || assets) u(a, s)) p;
  IF pairs > coalesce(cardinality(locked), 0) THEN
    PERFORM ledger_open_balances(debits || credits, assets || assets);
    locked := ledger_lock_balances(debits || credits, assets || assets);
  END IF;

  -- only now, under the locks: whoever posted the same a moment ago has finished
  IF EXISTS (SELECT FROM ledger_journal j WHERE j.reference = p_reference) THEN
    RETURN ledger_repeated(p_reference, p_kind, p_reverses, keys, debits, credits, assets, amounts);
  END IF;

  IF pairs > coalesce(cardinality(locked), 0) THEN
    SELECT u.line, u.account, CASE WHEN a.id IS NULL THEN 'account_unknown' ELSE 'asset_unknown' END
      INTO refused_line, refused_account, refused_code
      FROM (SELECT x.line, x.account, x.asset FROM unnest(debits, assets) WITH ORDINALITY x(account, asset, line)
            UNION ALL SELECT y.line, y.account, y.asset
              FROM unnest(credits, assets) WITH ORDINALITY y(account, asset, line)) u
      LEFT JOIN ledger_account a ON a.id = u.account
      LEFT JOIN ledger_asset s ON s.id = u.asset
     WHERE a.id IS NULL OR s.id IS NULL
     ORDER BY u.line LIMIT 1;
    RETURN ROW(refused_code, NULL, NULL, refused_line, refused_account)::ledger_posted;
  END IF;

  refused_line := ledger_used_key(keys);
  IF refused_line IS NOT NULL THEN
    RETURN ROW('key_reused', NULL, NULL, refused_line, NULL)::ledger_posted;
  END IF;

  SELECT greatest(p_now, max(b.last_at)) INTO booked FROM unnest(locked) b;

  WITH leg AS MATERIALIZED (
    SELECT l.line, l.side, b.id AS balance_id, b.account_id, b.balance, b.held, b.contra, b.sink, b.status,
           b.issue_limit, row_number() OVER w AS nth, b.entries + row_number() OVER w AS seq,
           (b.balance + sum(l.amount) OVER w)::bigint AS after, lead(1) OVER w IS NULL AS final
      FROM (SELECT u.line, 'd'::"char" AS side, u.account, u.asset, -u.amount AS amount
              FROM unnest(debits, assets, amounts) WITH ORDINALITY u(account, asset, amount, line)
            UNION ALL
            SELECT u.line, 'c'::"char", u.account, u.asset, u.amount
              FROM unnest(credits, assets, amounts) WITH ORDINALITY u(account, asset, amount, line)) l
      JOIN unnest(locked) b ON b.account_id = l.account AND b.asset_id = l.asset
    WINDOW w AS (PARTITION BY b.id ORDER BY l.line)
  ), refusal AS MATERIALIZED (
    SELECT leg.line, leg.account_id,
           CASE WHEN leg.status <> 'open' THEN 'account_' || leg.status
                WHEN leg.sink AND leg.side = 'd' AND p_reverses IS NULL THEN 'account_final'
                WHEN NOT leg.contra AND leg.after < CASE WHEN leg.final THEN leg.held ELSE 0 END
                  THEN 'insufficient_available'
                WHEN leg.final AND leg.after < -leg.issue_limit THEN 'cap_exceeded' END AS code
      FROM leg
     WHERE leg.status <> 'open'
        OR leg.sink AND leg.side = 'd' AND p_reverses IS NULL
        OR NOT leg.contra AND leg.after < CASE WHEN leg.final THEN leg.held ELSE 0 END
        OR leg.final AND leg.after < -leg.issue_limit
     ORDER BY leg.line, leg.side DESC LIMIT 1
  ), journal AS (
    INSERT INTO ledger_journal (kind, reference, actor_id, at, note, reverses_id)
    SELECT p_kind, p_reference, p_actor, booked, p_note, p_reverses
     WHERE NOT EXISTS (SELECT FROM refusal)
        ON CONFLICT (reference) DO NOTHING
    RETURNING id
  ), moved AS (
    INSERT INTO ledger_transfer (journal_id, key, asset_id, debit_id, credit_id, amount, debit_seq, credit_seq,
                                 debit_after, credit_after, at)
    SELECT (SELECT id FROM journal), keys[d.line], assets[d.line], d.balance_id, c.balance_id, amounts[d.line],
           d.seq, c.seq, d.after, c.after, booked
      FROM leg d JOIN leg c ON c.line = d.line AND c.side = 'c'
     WHERE d.side = 'd' AND EXISTS (SELECT FROM journal)
     ORDER BY d.line
  )
  SELECT (SELECT id FROM journal), array_agg(f.balance_id), array_agg(f.after - f.balance), array_agg(f.nth),
         (SELECT line FROM refusal), (SELECT code FROM refusal), (SELECT account_id FROM refusal)
    INTO new_journal, moved_ids, deltas, counts, refused_line, refused_code, refused_account
    FROM leg f WHERE f.final;

  IF refused_code IS NOT NULL THEN
    RETURN ROW(refused_code, NULL, NULL, refused_line, refused_account)::ledger_posted;
  END IF;
  IF new_journal IS NULL THEN   -- somebody took the reference for other balances while this statement ran
    RETURN ledger_repeated(p_reference, p_kind, p_reverses, keys, debits, credits, assets, amounts);
  END IF;
  PERFORM ledger_move_balances(moved_ids, deltas, counts, booked);
  RETURN ROW('posted', new_journal, booked, NULL, NULL)::ledger_posted;
END $$;

-- One transfer by the short way. Whatever is not plainly in order goes to ledger_post, which knows all the answers.
-- No sequential scans: a plan made while the tables are small would be kept while they grow.
CREATE FUNCTION ledger_post_one(p_kind text, p_reference text, p_actor uuid, p_now timestamptz, p_note text,
                                p_key uuid, p_debit bigint, p_credit bigint, p_asset bigint, p_amount bigint)
RETURNS ledger_posted
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  locked ledger_balance[];
  d ledger_balance;
  c ledger_balance;
  booked timestamptz;
  new_journal bigint;
BEGIN
  SELECT array_agg(x.b) INTO locked
    FROM (SELECT b FROM ledger_balance b WHERE b.account_id IN (p_debit, p_credit) AND b.asset_id = p_asset
           ORDER BY b.id FOR NO KEY UPDATE) x;
  IF cardinality(locked) = 2 THEN
    IF locked[1].account_id = p_debit THEN
      d := locked[1]; c := locked[2];
    ELSE
      d := locked[2]; c := locked[1];
    END IF;
    booked := greatest(p_now, d.last_at, c.last_at);
    IF p_amount BETWEEN 1 AND 1000000000000000 AND d.status = 'open' AND c.status = 'open' AND NOT d.sink
       AND (d.contra OR d.balance - d.held >= p_amount)
       AND (d.issue_limit IS NULL OR d.balance - p_amount >= -d.issue_limit)
       AND NOT EXISTS (SELECT FROM ledger_transfer t WHERE t.key = p_key) THEN
      WITH journal AS (
        INSERT INTO ledger_journal (kind, reference, actor_id, at, note)
        VALUES (p_kind, p_reference, p_actor, booked, p_note)
            ON CONFLICT (reference) DO NOTHING
        RETURNING id
      ), moved AS (
        INSERT INTO ledger_transfer (journal_id, key, asset_id, debit_id, credit_id, amount, debit_seq, credit_seq,
                                     debit_after, credit_after, at)
        SELECT j.id, p_key, p_asset, d.id, c.id, p_amount, d.entries + 1, c.entries + 1,
               d.balance - p_amount, c.balance + p_amount, booked
          FROM journal j
      )
      SELECT id INTO new_journal FROM journal;
      IF new_journal IS NOT NULL THEN
        UPDATE ledger_balance b
           SET balance = b.balance + CASE WHEN b.id = d.id THEN -p_amount ELSE p_amount END,
               entries = b.entries + 1, last_at = booked
         WHERE b.id IN (d.id, c.id);
        RETURN ROW('posted', new_journal, booked, NULL, NULL)::ledger_posted;
      END IF;
    END IF;
  END IF;
  RETURN ledger_post(p_kind, p_reference, p_actor, p_now, p_note, NULL, ARRAY[p_key], ARRAY[p_debit],
                     ARRAY[p_credit], ARRAY[p_asset], ARRAY[p_amount]);
END $$;
