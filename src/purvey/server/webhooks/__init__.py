"""Endpoints, deliveries, attempts: every event reaches whoever wants it, signed, at least once, or it is visible why not.

A trigger on the log makes a delivery and a job for each event and endpoint, in the transaction that appends the event. The job
sends the event's stored bytes and records the attempt: `work.Deliver`, in the steps Prepared, Sent, Decided. This room knows of
events no more than their names, ids and bytes.

Offers: the SQL functions `webhooks_callback_set`, which listings call in their own transaction when a callback's URL or secret
changes, and `webhooks_enable` and `webhooks_disable`; `work.Deliver` for the worker; `api.routes`; `model.STATES`.
"""
