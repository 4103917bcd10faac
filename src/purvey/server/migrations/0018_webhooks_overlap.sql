-- The same as with fewer arguments, and what else signs until when: the secret before, while a rotation's overlap lasts.
CREATE FUNCTION webhooks_callback_set(
    p_account text, p_listing text, p_endpoint_id text, p_url text, p_secret bytea, p_before bytea, p_before_until timestamptz,
    p_now timestamptz
) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    endpoint_id text := webhooks_callback_set(p_account, p_listing, p_endpoint_id, p_url, p_secret, p_now);
BEGIN
    UPDATE endpoints SET previous_secret = p_before, previous_until = p_before_until
    WHERE account_id = p_account AND id = endpoint_id;
    RETURN endpoint_id;
END
$$;
