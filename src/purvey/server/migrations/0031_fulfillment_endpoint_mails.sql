-- The seller is mailed what the webhooks room notices of an endpoint, in the transaction in which it is noticed.
CREATE FUNCTION fulfillment_endpoint_mail() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
    mail message_new;
BEGIN
    SELECT notice.account_id, derived_id('msg_', notice.endpoint_id || ':' || notice.stage || ':' || extract(epoch FROM notice.since)),
           'endpoint', NULL, account.email,
           json_build_object('endpoint_id', endpoint.id, 'name', endpoint.name, 'url', endpoint.url, 'stage', notice.stage,
                             'since', rfc3339(notice.since), 'error', notice.error, 'listing_id', endpoint.listing_id, 'kind', endpoint.kind),
           NULL, NULL
    INTO mail.account_id, mail.id, mail.template, mail.order_id, mail.recipient, mail.facts, mail.sealed, mail.good_until
    FROM (SELECT NEW.*) notice JOIN accounts account ON account.id = notice.account_id
    JOIN endpoints endpoint ON endpoint.account_id = notice.account_id AND endpoint.id = notice.endpoint_id;
    IF FOUND THEN
        PERFORM messages_queue(ARRAY[mail], NEW.made_at);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER fulfillment_endpoint_mail AFTER INSERT ON endpoint_notices FOR EACH ROW EXECUTE FUNCTION fulfillment_endpoint_mail();
