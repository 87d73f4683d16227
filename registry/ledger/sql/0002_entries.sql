-- Entries: each balance's own list of movements with the running balance, and the way to a point in time.

CREATE VIEW ledger_entry AS
  SELECT debit_id AS balance_id, debit_seq AS seq, -amount AS amount, debit_after AS balance_after, at,
         id AS transfer_id, key, journal_id, asset_id, credit_id AS other_balance_id
    FROM ledger_transfer
  UNION ALL
  SELECT credit_id, credit_seq, amount, credit_after, at, id, key, journal_id, asset_id, debit_id
    FROM ledger_transfer;

-- Return the number of the balance's last entry before an instant (or up to it, if included); 0 if there is none.
-- Instants never go backwards within a balance, so about log2(entries) look-ups in the indexes that posting needs
-- anyway find it, at any size of the ledger, and no index on time is paid for by every posting.
CREATE FUNCTION ledger_entries_by(p_balance bigint, instant timestamptz, included boolean) RETURNS bigint
LANGUAGE plpgsql STABLE SET enable_seqscan = off AS $$
DECLARE
  low bigint := 0;
  high bigint;
  middle bigint;
  booked timestamptz;
BEGIN
  SELECT entries INTO high FROM ledger_balance WHERE id = p_balance;
  WHILE low < high LOOP
    middle := (low + high + 1) / 2;
    SELECT at INTO booked FROM ledger_transfer WHERE debit_id = p_balance AND debit_seq = middle;
    IF NOT FOUND THEN
      SELECT at INTO STRICT booked FROM ledger_transfer WHERE credit_id = p_balance AND credit_seq = middle;
    END IF;
    IF booked < instant OR (included AND booked = instant) THEN
      low := middle;
    ELSE
      high := middle - 1;
    END IF;
  END LOOP;
  RETURN low;
END $$;

-- Return the running balance after the numbered entry; 0 before the first.
CREATE FUNCTION ledger_balance_after(p_balance bigint, entry bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
  SELECT coalesce((SELECT debit_after FROM ledger_transfer WHERE debit_id = p_balance AND debit_seq = entry),
                  (SELECT credit_after FROM ledger_transfer WHERE credit_id = p_balance AND credit_seq = entry),
                  0)
$$;
