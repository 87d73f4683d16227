-- Serial blocks: a serial number is in one place at a time, over the whole of its history. Transfers number the time.

CREATE EXTENSION IF NOT EXISTS btree_gist;

ALTER TABLE ledger_serial_block ADD CONSTRAINT serial_in_one_place_at_a_time
  EXCLUDE USING gist (asset_id WITH =, int8range(first, last, '[]') WITH &&, int8range(since, until) WITH &&);
