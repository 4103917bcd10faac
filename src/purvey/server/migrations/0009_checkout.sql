-- A buyer's attempt to pay. It keeps what was on sale at that moment: the payment is for that.

CREATE TABLE checkouts (
    id              text PRIMARY KEY,
    account_id      text NOT NULL,
    listing_id      text NOT NULL,
    status          text NOT NULL CHECK (status IN ('open', 'paid', 'expired')),
    payment_url     text NOT NULL,              -- where the buyer pays
    buyer_email     text NOT NULL,
    checkout_data   json NOT NULL,
    amount          bigint NOT NULL CHECK (amount >= 0),
    currency        text NOT NULL,
    content_type    text NOT NULL,
    deliverables    json NOT NULL,              -- id and type of each, as the listing had them
    listing         json NOT NULL,              -- as the order will show it
    seller          json NOT NULL,
    grant_after     int NOT NULL,
    grant_downloads int NOT NULL,
    order_id        text,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    paid_at         timestamptz,
    CHECK ((status = 'paid') = (order_id IS NOT NULL)),
    CHECK ((status = 'paid') = (paid_at IS NOT NULL))
);
CREATE INDEX checkouts_listing ON checkouts (listing_id, created_at);

CREATE FUNCTION checkouts_pay(p_checkouts text[], p_orders text[], p_now timestamptz) RETURNS void
LANGUAGE sql AS $$
    UPDATE checkouts SET status = 'paid', order_id = u.order_id, paid_at = p_now
    FROM unnest(p_checkouts, p_orders) AS u (id, order_id)
    WHERE checkouts.id = u.id AND checkouts.status <> 'paid';
$$;

SELECT lane_ensure('checkout', 'checkout', NULL, 'free checkouts', 8, clock_timestamp());
