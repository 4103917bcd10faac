-- A hold: the card's network warned of fraud, and nothing of the order opens until its seller gives the money back or releases it.
ALTER TABLE orders ADD COLUMN held_at timestamptz;
ALTER TYPE order_change ADD ATTRIBUTE held_at timestamptz;

CREATE OR REPLACE FUNCTION orders_change(p_changes order_change[]) RETURNS SETOF text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM orders JOIN unnest(p_changes) c ON orders.account_id = c.account_id AND orders.id = c.id
    ORDER BY orders.account_id, orders.id FOR NO KEY UPDATE OF orders;
    RETURN QUERY
    UPDATE orders SET
        version = c.version + 1, status = c.status, payment_status = c.payment_status, dispute_status = c.dispute_status,
        delivery_status = c.delivery_status, buyer_email = c.buyer_email, deliverables = c.deliverables,
        delivered_items = c.delivered_items, metadata = c.metadata, refund_amount = c.refund_amount,
        refund_pending = c.refund_pending, dispute_reference = c.dispute_reference, dispute_reason = c.dispute_reason,
        dispute_due_at = c.dispute_due_at, dispute_told_at = c.dispute_told_at, access_hash = c.access_hash,
        access_sealed = c.access_sealed, fresh_links = c.fresh_links, late_at = c.late_at, fulfilled_at = c.fulfilled_at,
        handed_off_at = c.handed_off_at, refunded_at = c.refunded_at, disputed_at = c.disputed_at, held_at = c.held_at
    FROM unnest(p_changes) c
    WHERE orders.account_id = c.account_id AND orders.id = c.id AND orders.version = c.version AND orders.status = ANY (c.allowed)
    RETURNING orders.id;
END
$$;

-- Whether nothing of an order opens, whatever its grant says: its money is gone (it was refunded, or its dispute lost), or it is held.
-- The functions that open and charge downloads ask this; it takes the place of a body that knew no holds.
CREATE OR REPLACE FUNCTION orders_withdrawn(p_account_id text, p_order_id text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (
        SELECT FROM orders WHERE account_id = p_account_id AND id = p_order_id
            AND payment_status <> 'refunded' AND dispute_status IS DISTINCT FROM 'lost' AND held_at IS NULL
    );
$$;
