"""Work that outlives its request: jobs that any process can run, and the webhooks about them.

`runner` runs jobs, `webhooks` signs and sends, `callback` dials addresses that callers gave. Routes
and the start of the service may come in; the tables are in `app.store.jobs`.
"""
