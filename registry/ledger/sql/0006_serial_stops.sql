-- Stopped serial numbers: a number is stopped by one order at a time. Transfers number the time.

ALTER TABLE ledger_serial_stop ADD CONSTRAINT serial_stopped_once_at_a_time
  EXCLUDE USING gist (asset_id WITH =, int8range(first, last, '[]') WITH &&, int8range(since, until, '(]') WITH &&);
