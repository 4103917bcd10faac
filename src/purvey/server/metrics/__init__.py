"""What an operator watches: how much waits and for how long, beside what each process counts (`kit/metrics.py`).

Offers: `measures.Measures`, which makes the page of /metrics and tells how deep the queue is; `api.routes`; the SQL functions
`jobs_depths` and `orders_by_wait`.
"""
