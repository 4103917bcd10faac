"""What must hold when all that was begun has come to its end, whatever died meanwhile: each check is a query that says true."""

from collections.abc import Mapping

from purvey.server.kit.database import Database

Checks = Mapping[str, str]

INVARIANTS: Checks = {
    # R1: paid means fulfilled exactly once.
    "every payment has its order": """
        SELECT NOT EXISTS (
            SELECT FROM sandbox_payments paid
            LEFT JOIN orders
                ON payment_provider = 'sandbox' AND payment_reference = reference AND orders.checkout_id = paid.checkout_id
            WHERE orders.id IS NULL AND NOT EXISTS (
                SELECT FROM refunds
                WHERE origin = 'second_payment' AND payment_reference = paid.reference AND status = 'succeeded'))""",
    "what was given back is what the provider gave back": """
        SELECT NOT EXISTS (
            SELECT FROM orders WHERE refund_pending <> 0 OR payment_provider = 'sandbox' AND refund_amount <>
                (SELECT coalesce(sum(amount), 0) FROM sandbox_refunds WHERE payment = payment_reference))""",
    "every refund has ended, and the provider has it once": """
        SELECT NOT EXISTS (
            SELECT FROM refunds FULL JOIN sandbox_refunds booked USING (reference)
            WHERE provider IS DISTINCT FROM 'stripe' AND status IS DISTINCT FROM 'failed'
                AND (status, refunds.amount, payment_reference) IS DISTINCT FROM ('succeeded', booked.amount, booked.payment))""",
    "an order is refunded when all of it is": """
        SELECT NOT EXISTS (
            SELECT FROM orders WHERE payment_status <> CASE WHEN refund_amount = 0 THEN 'paid'
                WHEN refund_amount < amount THEN 'partially_refunded' ELSE 'refunded' END AND amount > 0)""",
    "no order without its payment": """
        SELECT NOT EXISTS (
            SELECT FROM orders WHERE CASE payment_provider
                WHEN 'free' THEN amount <> 0
                ELSE NOT EXISTS (SELECT FROM sandbox_payments WHERE reference = payment_reference)
                    AND NOT EXISTS (SELECT FROM stripe_payments WHERE reference = payment_reference)
                    AND NOT EXISTS (SELECT FROM notices WHERE said->>'reference' = payment_reference) END)""",
    "every notice is settled": "SELECT NOT EXISTS (SELECT FROM notices WHERE outcome IS NULL)",
    "checkouts and orders name each other": """
        SELECT NOT EXISTS (
            SELECT FROM orders FULL JOIN (SELECT id, order_id FROM checkouts WHERE status = 'paid') paid
            ON paid.order_id = orders.id AND paid.id = orders.checkout_id WHERE orders.id IS NULL OR paid.id IS NULL)""",
    "every order is as far as its kind goes by itself": """
        SELECT NOT EXISTS (
            SELECT FROM orders WHERE status <> ALL (CASE content_type
                WHEN 'static' THEN ARRAY['fulfilled'] WHEN 'webhook' THEN ARRAY['handed_off']
                ELSE ARRAY['processing', 'fulfilled'] END))""",
    "a fulfilled order has one grant, and no other has any": """
        SELECT NOT EXISTS (
            SELECT FROM orders WHERE (SELECT count(*) FROM grants WHERE order_id = orders.id AND revoked_at IS NULL)
                <> (status = 'fulfilled' AND NOT EXISTS (
                    SELECT FROM order_history told WHERE told.order_id = orders.id AND told.version = orders.version
                        AND action IN ('revoke', 'take_back_refund')))::int)""",
    "every fresh link was mailed, and has its grant": """
        SELECT NOT EXISTS (
            SELECT FROM orders, LATERAL (
                SELECT count(*) AS links, count(*) FILTER (WHERE to_status = 'fulfilled') AS grants FROM order_history
                WHERE order_id = orders.id AND action IN ('fresh_link', 'resend', 'release', 'correct_email')
            ) made
            WHERE made.links <> (SELECT count(*) FROM messages WHERE order_id = orders.id AND template = 'fresh_link')
                OR made.grants + (status = 'fulfilled')::int <> (SELECT count(*) FROM grants WHERE order_id = orders.id))""",
    "an order's content is there, and belongs to no other": """
        SELECT NOT EXISTS (
            SELECT FROM orders CROSS JOIN unnest(orders.deliverables) held (id)
            LEFT JOIN deliverables content ON content.account_id = orders.account_id AND content.id = held.id
            WHERE content.id IS NULL OR content.order_id <> orders.id)""",
    "a fulfilled order has content": """
        SELECT NOT EXISTS (
            SELECT FROM orders WHERE (cardinality(deliverables) > 0 OR delivered_items IS NOT NULL) <> (status = 'fulfilled'))""",
    "no content was made for an order that does not hold it": """
        SELECT NOT EXISTS (
            SELECT FROM deliverables content
            LEFT JOIN orders ON orders.account_id = content.account_id AND orders.id = content.order_id
            WHERE content.order_id IS NOT NULL AND (orders.id IS NULL OR content.id <> ALL (orders.deliverables)))""",
    "the buyer gets each mail once": """
        SELECT NOT EXISTS (
            SELECT FROM orders WHERE ARRAY (
                SELECT template FROM messages WHERE order_id = orders.id AND template IN ('confirmation', 'ready') ORDER BY template
            ) <> array_remove(ARRAY[CASE WHEN content_type = 'generated' OR EXISTS (
                                        SELECT FROM messages WHERE order_id = orders.id AND template = 'keys_missing'
                                    ) THEN 'confirmation' END,
                                    CASE WHEN status = 'fulfilled' THEN 'ready' END], NULL))""",
    "a seller is told once that a key is missing": """
        SELECT NOT EXISTS (
            SELECT FROM messages WHERE template = 'keys_missing' GROUP BY account_id, order_id HAVING count(*) > 1)""",
    "a licence key belongs to one order at most, and is its content": """
        SELECT NOT EXISTS (
            SELECT FROM pool_keys k LEFT JOIN orders o ON o.checkout_id = k.checkout_id
            WHERE k.status = 'sold' AND k.id = ANY (o.deliverables) IS NOT TRUE)""",
    "who is late is reminded once": """
        SELECT NOT EXISTS (
            SELECT FROM orders WHERE (SELECT count(*) FROM messages WHERE order_id = orders.id AND template = 'reminder')
                <> (late_at IS NOT NULL)::int)""",
    "each refund is told in one mail": """
        SELECT NOT EXISTS (
            SELECT FROM orders WHERE (SELECT count(*) FROM messages WHERE order_id = orders.id AND template = 'refund')
                <> (SELECT count(*) FROM refunds WHERE order_id = orders.id AND reference IS NOT NULL))""",
    # R2: no change without its event or its history, and none of them twice.
    "each order has its events, each once": """
        SELECT NOT EXISTS (
            SELECT FROM orders WHERE ARRAY (SELECT type FROM events WHERE order_id = orders.id ORDER BY type) <>
                array_remove(ARRAY[CASE WHEN dispute_status IS NOT NULL THEN 'order.disputed' END,
                                   CASE WHEN status = 'fulfilled' THEN 'order.fulfilled' END, 'order.paid',
                                   CASE WHEN payment_status = 'refunded' OR EXISTS (
                                       SELECT FROM order_history WHERE order_id = orders.id AND action = 'take_back_refund'
                                   ) THEN 'order.refunded' END], NULL)
                AND NOT EXISTS (SELECT FROM event_streams s WHERE s.account_id = orders.account_id AND expired_sequence > 0))""",
    "no event without its order": """
        SELECT NOT EXISTS (
            SELECT FROM events LEFT JOIN orders ON orders.account_id = events.account_id AND orders.id = events.order_id
            WHERE orders.id IS NULL)""",
    "an event tells the state that it is about": """
        SELECT NOT EXISTS (
            SELECT FROM events WHERE type <> 'order.' || CASE type
                    WHEN 'order.refunded' THEN body::json->'data'->>'payment_status'
                    WHEN 'order.disputed' THEN CASE WHEN body::json->'data'->>'dispute_status' <> '' THEN 'disputed' END
                    ELSE body::json->'data'->>'status' END OR order_id <> body::json->'data'->>'id'
                OR id <> body::json->>'id' OR sequence <> (body::json->>'sequence')::bigint)""",
    "each version of an order is in its history": """
        SELECT NOT EXISTS (
            SELECT FROM orders LEFT JOIN LATERAL (
                SELECT array_agg(version ORDER BY version) AS versions, (array_agg(to_status ORDER BY version DESC))[1] AS last
                FROM order_history WHERE order_id = orders.id
            ) told ON true
            WHERE (told.versions, told.last)
                IS DISTINCT FROM (ARRAY (SELECT generate_series(1, orders.version)), orders.status))""",
    "each entry of a history goes on from the one before": """
        SELECT NOT EXISTS (
            SELECT FROM (
                SELECT from_status, lag(to_status) OVER (PARTITION BY order_id ORDER BY version) AS before FROM order_history
            ) entry
            WHERE from_status IS DISTINCT FROM before)""",
    # R3: each event ends delivered, parked or given up, for every endpoint that wanted it.
    "every endpoint is told of every event that it wants": """
        SELECT NOT EXISTS (
            SELECT FROM events JOIN endpoints
                ON endpoints.account_id = events.account_id AND endpoints.created_at <= events.created_at
                AND (endpoints.listing_id IS NULL OR endpoints.listing_id = events.listing_id)
                AND (cardinality(endpoints.events) = 0 OR events.type = ANY (endpoints.events))
                AND endpoints.status <> 'deleted'
            WHERE (SELECT count(*) FROM deliveries
                   WHERE deliveries.event_id = events.id AND deliveries.endpoint_id = endpoints.id AND generation = 1) <> 1)""",
    "no delivery waits": "SELECT NOT EXISTS (SELECT FROM deliveries WHERE status = 'waiting')",
    "each attempt is counted": """
        SELECT NOT EXISTS (
            SELECT FROM deliveries
            WHERE ARRAY (SELECT number FROM attempts WHERE delivery_id = deliveries.id ORDER BY number)
                <> ARRAY (SELECT generate_series(1, deliveries.attempts)))""",
    "every dynamic order has its callback, and no other has any": """
        SELECT NOT EXISTS (
            SELECT FROM orders FULL JOIN callbacks ON callbacks.account_id = orders.account_id AND order_id = orders.id
            WHERE (content_type = 'dynamic') IS DISTINCT FROM (order_id IS NOT NULL))""",
    "an answer is what its order holds, and a failure is what it says": """
        SELECT NOT EXISTS (
            SELECT FROM callbacks JOIN orders ON orders.account_id = callbacks.account_id AND orders.id = order_id
            WHERE (callbacks.status, delivery_status, delivered_items IS NOT NULL) NOT IN (
                ('answered', 'delivered', true), ('failed', 'failed', false), ('withdrawn', 'delivered', false))
            AND (callbacks.status, payment_status, delivered_items IS NOT NULL) <> ('withdrawn', 'refunded', false))""",
    "each call is counted": """
        SELECT NOT EXISTS (
            SELECT FROM callbacks
            WHERE ARRAY (SELECT number FROM callback_attempts a WHERE a.order_id = callbacks.order_id ORDER BY number)
                <> ARRAY (SELECT generate_series(1, attempts)))""",
    "no mail waits": "SELECT NOT EXISTS (SELECT FROM messages WHERE status = 'waiting')",
    # R4: no cursor skips an event.
    "the sequence is dense": """
        SELECT NOT EXISTS (
            SELECT FROM event_streams FULL JOIN (
                SELECT account_id, min(sequence) AS first, max(sequence) AS last, count(*) AS n FROM events GROUP BY account_id
            ) told USING (account_id)
            WHERE (expired_sequence + 1, last_sequence, last_sequence - expired_sequence)
                IS DISTINCT FROM (coalesce(first, last_sequence + 1), coalesce(last, last_sequence), coalesce(n, 0)))""",
    # Nothing is left behind, and nothing is half made.
    "nothing is held any more": "SELECT NOT EXISTS (SELECT FROM holds)",
    # These come again, for ever.
    "no job is left": """
        SELECT NOT EXISTS (
            SELECT FROM jobs WHERE kind NOT IN ('payments.stripe_reconcile', 'events.expire', 'access.forget_visits'))""",
    "a file is attached, or gone": "SELECT NOT EXISTS (SELECT FROM files WHERE status <> 'attached')",
    "nothing is in flight": "SELECT NOT EXISTS (SELECT FROM lanes WHERE in_flight <> 0)",
    "each download is counted": """
        SELECT NOT EXISTS (
            SELECT FROM grants WHERE downloads <> (SELECT count(*) FROM downloads WHERE grant_id = grants.id))""",
    "every account has a key": """
        SELECT NOT EXISTS (SELECT FROM accounts WHERE NOT EXISTS (SELECT FROM api_keys WHERE account_id = accounts.id))""",
    "a listing's content is there": """
        SELECT NOT EXISTS (
            SELECT FROM listings CROSS JOIN unnest(listings.deliverables) held (id)
            WHERE NOT EXISTS (
                SELECT FROM deliverables
                WHERE account_id = listings.account_id AND deliverables.id = held.id AND order_id IS NULL))""",
    "a listing's callback is its endpoint": """
        SELECT NOT EXISTS (
            SELECT FROM listings FULL JOIN (SELECT * FROM endpoints WHERE kind = 'listing_callback') endpoint
                ON endpoint.id = callback_endpoint_id
            WHERE CASE WHEN agent_callback_url IS NULL THEN endpoint.status = 'enabled'
                  ELSE (url, secret) IS DISTINCT FROM (agent_callback_url, signing_secret) END)""",
}


async def broken(database: Database, checks: Checks, *args: object) -> list[str]:
    """Return the names of the checks that do not hold."""
    columns = ", ".join(f"({sql})" for sql in checks.values())
    row = await database.row(f"SELECT {columns}", *args)
    assert row is not None
    return [name for name, holds in zip(checks, row, strict=True) if holds is not True]
