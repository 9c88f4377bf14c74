"""What the log says about a computer that cannot protect the decode workers."""

from app.decode.sandbox.report import Sandbox


def test_nothing_is_missing_where_the_kernel_has_everything() -> None:
    assert Sandbox(True, 7, True, True).missing() == ()


def test_each_missing_protection_has_a_sentence_of_its_own() -> None:
    sentences = Sandbox(False, 0, False, False).missing()

    assert len(set(sentences)) == 4
    assert "seccomp" in sentences[0]
    assert "Landlock" in sentences[1]
