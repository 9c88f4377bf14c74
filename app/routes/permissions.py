"""What a request about a video needs beyond the scope of its address."""

from app.access.grants import Grant
from app.question import ClassifyRequest


def check_question(asked: ClassifyRequest, grant: Grant) -> None:
    """Raise LabelSetNotAllowed or ScopeMissing unless the request may ask this.

    A stored label set must be one that the key covers; keeping the video needs the scope `archive`.
    """
    if not asked.labels:
        grant.check_label_set(asked.label_set)
    if asked.keep:
        grant.check_scope("archive")
