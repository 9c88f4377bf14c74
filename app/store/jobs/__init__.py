"""Jobs, alerts and webhooks in the label database, with the videos of unfinished jobs.

Other rooms import names from this package only, and use it through `JobStore`, `WebhookStore` and
`AlertStore`.
Any process that shares the database can run any job.
"""

from app.store.jobs.alert_store import MAX_ALERTS, AlertStore
from app.store.jobs.job_store import JobStore
from app.store.jobs.messages import alert_message, queue
from app.store.jobs.records import (
    FINISHED,
    Alert,
    AlertNotFound,
    ClaimedJob,
    Job,
    JobNotFound,
    JobStatus,
    KeyInUse,
    KeyReused,
    NewJob,
    NewWebhook,
    Outcome,
    TooManyAlerts,
    Webhook,
)
from app.store.jobs.webhook_store import WebhookStore

__all__ = [
    "FINISHED",
    "MAX_ALERTS",
    "Alert",
    "AlertNotFound",
    "AlertStore",
    "ClaimedJob",
    "Job",
    "JobNotFound",
    "JobStatus",
    "JobStore",
    "KeyInUse",
    "KeyReused",
    "NewJob",
    "NewWebhook",
    "Outcome",
    "TooManyAlerts",
    "Webhook",
    "WebhookStore",
    "alert_message",
    "queue",
]
