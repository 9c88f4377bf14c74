"""Jobs and the webhooks about them in the label database, with the videos of unfinished jobs.

Other rooms import names from this package only, and use it through `JobStore` and `WebhookStore`.
Any process that shares the database can run any job.
"""

from app.store.jobs.job_store import JobStore
from app.store.jobs.records import (
    FINISHED,
    ClaimedJob,
    Job,
    JobNotFound,
    JobStatus,
    KeyInUse,
    KeyReused,
    NewJob,
    Outcome,
    Webhook,
)
from app.store.jobs.webhook_store import WebhookStore

__all__ = [
    "FINISHED",
    "ClaimedJob",
    "Job",
    "JobNotFound",
    "JobStatus",
    "JobStore",
    "KeyInUse",
    "KeyReused",
    "NewJob",
    "Outcome",
    "Webhook",
    "WebhookStore",
]
