"""The durable queue on PostgreSQL: what is to be done after a commit, and is done although the process dies. Knows no commerce.

A job waits in a lane. The lane (a webhook URL of an account, the mail server) holds the in-flight cap, the rate limit and the
breaker, so that one slow or dead receiver delays nobody else. A worker claims due jobs under a lease, runs them, and records
the results; a worker that dies loses its leases after 45 seconds and the jobs are run again, by whoever is there.

Offers: the SQL functions `jobs_push`, `jobs_finish`, `jobs_move`, `jobs_withdraw` and `lane_ensure`, to be called in the
caller's own transaction; `model` (Job, the outcomes, and Kind, which a room implements for each of its kinds of work);
`wake.Wake`, which actions poke after a commit; `worker.Worker`, which `app.py` starts; `recording.insist`, for kinds that
record their results themselves; `returning.ensure`, for jobs that come back for ever.
"""
