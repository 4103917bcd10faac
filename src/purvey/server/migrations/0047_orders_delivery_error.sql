-- Why the call of a dynamic order failed, for its seller, as long as that is so.
ALTER TABLE orders ADD COLUMN delivery_error text;
ALTER TYPE order_change ADD ATTRIBUTE delivery_error text;

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
        handed_off_at = c.handed_off_at, refunded_at = c.refunded_at, disputed_at = c.disputed_at, held_at = c.held_at,
        delivery_error = c.delivery_error
    FROM unnest(p_changes) c
    WHERE orders.account_id = c.account_id AND orders.id = c.id AND orders.version = c.version AND orders.status = ANY (c.allowed)
    RETURNING orders.id;
END
$$;
