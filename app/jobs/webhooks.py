"""Signs and sends webhooks as the Standard Webhooks specification says, until they are accepted."""

import base64
import hashlib
import hmac
import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NoReturn

import anyio
from anyio import to_thread
from structlog.typing import FilteringBoundLogger

from app.jobs.callback import AddressRefused, CallbackFailed, post
from app.lifecycle.background import keep_running
from app.store import StoreUnavailable
from app.store.jobs import Webhook, WebhookStore

# Longer than an attempt with its redirects: if this process dies, another sends it after that.
_ATTEMPT = timedelta(seconds=90)
_FIRST_WAIT_SECONDS = 5.0
_MAX_WAIT = timedelta(hours=1)
_GIVEN_UP_AFTER = timedelta(days=1)
_SECONDS_BETWEEN_LOOKS = 0.5
# A slow receiver does not delay the messages to others.
_SENDERS = 4
_GONE = 410


def signature(secrets: Sequence[bytes], webhook_id: str, timestamp: int, body: str) -> str:
    """Return the value of `webhook-signature`: one signature for each secret."""
    signed = f"{webhook_id}.{timestamp}.{body}".encode()
    digests = [hmac.new(secret, signed, hashlib.sha256).digest() for secret in secrets]
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def next_wait(attempts: int, share: float) -> timedelta:
    """Return the time before the next attempt: doubled each time, of which `share` 0..1 jitters."""
    longest = min(_MAX_WAIT.total_seconds(), _FIRST_WAIT_SECONDS * 2.0 ** min(attempts, 20))
    return timedelta(seconds=longest * (0.5 + 0.5 * share))


class WebhookSender:
    """Sends the messages of the store until its `run` is cancelled.

    `secrets` are the current one and, while it is rotated, the one before.
    """

    def __init__(
        self,
        store: WebhookStore,
        secrets: Sequence[bytes],
        *,
        allow_private: bool,
        log: FilteringBoundLogger,
    ) -> None:
        self._store = store
        self._secrets = tuple(secrets)
        self._allow_private = allow_private
        self._log = log

    async def run(self) -> NoReturn:
        """Send messages as they become due."""
        async with anyio.create_task_group() as group:
            for _ in range(_SENDERS):
                group.start_soon(keep_running, "webhooks", self._work, self._log)
        raise AssertionError("the senders never end by themselves")

    async def _work(self) -> NoReturn:
        while True:
            try:
                webhook = await to_thread.run_sync(self._store.claim, _ATTEMPT, _MAX_WAIT)
                if webhook is not None:
                    await to_thread.run_sync(self._send, webhook)
                    continue
            except StoreUnavailable as error:
                self._log.warning("webhooks_wait", detail=str(error))
            await anyio.sleep(_SECONDS_BETWEEN_LOOKS)

    def _send(self, webhook: Webhook) -> None:
        now = datetime.now(UTC)
        timestamp = int(now.timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": "kinolex",
            "webhook-id": webhook.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._secrets, webhook.id, timestamp, webhook.body),
        }
        try:
            status = post(
                webhook.url, headers, webhook.body.encode(), allow_private=self._allow_private
            )
            reason = f"status {status}"
        except (AddressRefused, CallbackFailed) as error:
            status, reason = 0, str(error)
        if 200 <= status < 300:
            self._store.remove(webhook.id)
        elif status == _GONE or now - webhook.created_at > _GIVEN_UP_AFTER:
            self._log.warning("webhook_given_up", id=webhook.id, detail=reason)
            self._store.remove(webhook.id)
        else:
            self._log.info("webhook_refused", id=webhook.id, detail=reason)
            self._store.postpone(webhook.id, next_wait(webhook.attempts, random.random()))
