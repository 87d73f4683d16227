-- The entrance of an order asks too what the operator owes in permits, as a debt blocks sales beyond the free balance.
--
-- The entrance of an order: take the market's phase lock, then read what decides whether the order may come in.
-- One function for one round trip, and because planning this join anew costs more than everything else about an order.
-- A volatile function's statements each see what was committed before them, so the phase is read as it is under the
-- lock. A market, organisation or user that does not exist gives no row.

DROP FUNCTION exchange_entrance(int, uuid, uuid, uuid);

CREATE FUNCTION exchange_entrance(
  p_lock_space int, p_market uuid, p_organisation uuid, p_user uuid,
  OUT phase text, OUT last_price bigint, OUT period_status text, OUT organisation_status text, OUT account_id bigint,
  OUT position_id bigint, OUT is_trader boolean, OUT account_grade text, OUT scheme_frozen boolean, OUT debt bigint
) RETURNS SETOF record LANGUAGE plpgsql VOLATILE AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(p_lock_space, (SELECT number FROM exchange_market WHERE id = p_market)::int);
  RETURN QUERY
  SELECT m.phase::text, m.last_price, p.status::text, g.status::text, o.account_id, x.id,
         u.is_active AND EXISTS (SELECT FROM accounts_membership r
                                  WHERE r.user_id = u.id AND r.organisation_id = g.id
                                    AND r.role = 'trader' AND r.ended_at IS NULL),
         coalesce(t.grade, 'open')::text,
         EXISTS (SELECT FROM registry_freeze f
                  WHERE f.lifted_at IS NULL AND (f.scheme_id = p.scheme_id OR f.scheme_id IS NULL)),
         coalesce((SELECT sum(d.quantity) FROM registry_debtentry d WHERE d.operator_id = o.id), 0)::bigint
    FROM exchange_market m
    JOIN registry_period p ON p.id = m.period_id
    JOIN accounts_organisation g ON g.id = p_organisation
    JOIN accounts_user u ON u.id = p_user
    LEFT JOIN registry_operator o ON o.scheme_id = p.scheme_id AND o.organisation_id = g.id
    LEFT JOIN registry_accountterms t ON t.account_id = o.account_id
    LEFT JOIN exchange_position x ON x.market_id = m.id AND x.account_id = o.account_id
   WHERE m.id = p_market;
END $$;
