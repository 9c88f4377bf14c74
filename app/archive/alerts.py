"""Compares a newly kept video with the words of all alerts, and makes the webhooks for those found.

All alerts are one label set for this: their words are the labels, their minimum scores the labels'
thresholds. So an alert is raised where `/classify` would report the words as a segment.
"""

import logging
from collections.abc import Sequence

from app.labels.ad_hoc import AdHocLabels
from app.question import Analysis
from app.store.jobs import Alert, AlertStore, NewWebhook, alert_message
from model import Hysteresis, LabelError, Segment, Tagger, clean_name, label_key

_log = logging.getLogger(__name__)


class Alerts:
    """The alerts of one checkpoint; blocks on the database and on the text model."""

    def __init__(self, store: AlertStore, tagger: Tagger) -> None:
        self._store = store
        self._tagger = tagger
        self._words = AdHocLabels(tagger)

    def raised_by(self, analysis: Analysis, cause: str) -> list[NewWebhook]:
        """Return a message for each alert whose words the video shows.

        `cause` names the work that keeps the video, and is a part of each message's id.
        """
        alerts = self._usable(self._store.all())
        if not alerts:
            return []
        segments = self._segments(analysis, alerts)
        messages = []
        for alert in alerts:
            name, spans = clean_name(alert.text), []
            for segment in segments:
                for tag in segment.tags:
                    if label_key(tag.label) == label_key(name) and tag.score >= alert.min_score:
                        spans.append((segment.start_seconds, segment.end_seconds, tag.score))
            if spans:
                messages.append(alert_message(alert, cause, analysis.sha256, spans))
        return messages

    def _usable(self, alerts: Sequence[Alert]) -> Sequence[Alert]:
        """Return the alerts whose words can be embedded; they may be of another text model's time.

        One that cannot must not keep every video from being kept.
        """
        try:
            self._words.index([alert.text for alert in alerts])
        except LabelError:
            return [alert for alert in alerts if self._is_usable(alert)]
        return alerts

    def _is_usable(self, alert: Alert) -> bool:
        try:
            self._words.prototypes(alert.text)
        except LabelError as error:
            _log.warning("the alert %s is not watched for: %s", alert.id, error)
            return False
        return True

    def _segments(self, analysis: Analysis, alerts: Sequence[Alert]) -> Sequence[Segment]:
        lowest: dict[str, float] = {}
        for alert in alerts:
            key = label_key(alert.text)
            lowest[key] = min(alert.min_score, lowest.get(key, 1.0))
        index = self._words.index([alert.text for alert in alerts]).with_thresholds(lowest)
        tagging = self._tagger.segment_tagging(
            analysis.video,
            analysis.windows.plan,
            index,
            top_k=len(index),
            min_score=min(lowest.values()),
            hysteresis=Hysteresis(open_share=0.0),
        )
        tagging.add(analysis.windows.embeddings)
        return tagging.finish().segments
