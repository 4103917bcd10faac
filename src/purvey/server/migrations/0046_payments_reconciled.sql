-- Until when the books of each merchant at Stripe were compared with ours: `owner` and `stripe_account` as in `stripe_standings`.
CREATE TABLE stripe_reconciled (
    owner          text NOT NULL,
    stripe_account text NOT NULL,
    until          timestamptz NOT NULL,
    PRIMARY KEY (owner, stripe_account)
);

-- A refund may come back from the bank, and be made again: then the order is refunded twice in its life, and each is told.
DROP INDEX events_once;
CREATE UNIQUE INDEX events_once ON events (account_id, order_id, type) WHERE type IN ('order.paid', 'order.fulfilled');
