"""Signatures and waits of webhooks."""

import base64
from datetime import timedelta

from app.jobs.webhooks import next_wait, signature

# the example of the Standard Webhooks documentation
SECRET = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
EXAMPLE = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}')
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_is_that_of_the_specifications_example() -> None:
    assert signature([SECRET], *EXAMPLE) == SIGNATURE


def test_a_secret_that_is_being_changed_signs_beside_the_new_one() -> None:
    new, old = signature([b"new" * 10, SECRET], *EXAMPLE).split(" ")

    assert old == SIGNATURE
    assert new == signature([b"new" * 10], *EXAMPLE)


def test_waits_double_up_to_an_hour_and_jitter_down_to_half() -> None:
    assert [next_wait(attempts, 1.0).total_seconds() for attempts in (0, 1, 2)] == [5, 10, 20]
    assert next_wait(1000, 1.0) == timedelta(hours=1)
    assert next_wait(1000, 0.0) == timedelta(minutes=30)
