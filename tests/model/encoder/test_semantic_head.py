"""The head with evidence: both parts keep their meaning in one unit vector."""

import pytest
import torch

from model.encoder.networks import EncoderConfig, SemanticHead

FEATURES, DIM, EVIDENCE = 5, 12, 4
CONFIG = EncoderConfig("efficientnet_lite0", DIM, vocabulary=3, evidence_dim=EVIDENCE)


def make_head() -> SemanticHead:
    torch.manual_seed(0)
    head = SemanticHead(FEATURES, CONFIG)
    assert head.word_head is not None
    words = torch.randn(3, EVIDENCE)
    head.word_head.words.copy_(torch.nn.functional.normalize(words, dim=-1))
    return head


def test_an_embedding_with_evidence_has_unit_length_and_keeps_both_parts() -> None:
    head = make_head()
    features = torch.randn(6, FEATURES)

    embeddings = head(features)

    assert embeddings.shape == (6, DIM)
    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(6))
    # both parts have length 1 together with the rest: the whole is divided by the root of 2
    direct = torch.nn.functional.normalize(head.linear(features), dim=-1)
    assert head.word_head is not None
    evidence = head.word_head.mixture(features)
    parts = embeddings * 2**0.5
    torch.testing.assert_close(parts[:, : CONFIG.text_dim], direct)
    torch.testing.assert_close(parts[:, CONFIG.text_dim : -1], evidence)
    assert (parts[:, -1] > 0).all()


def test_a_certain_word_has_the_longest_evidence_and_gradients_stay_finite() -> None:
    head = make_head()
    assert head.word_head is not None
    with torch.no_grad():
        head.word_head.classifier.weight.zero_()
        head.word_head.classifier.bias.copy_(torch.tensor([1e4, 0.0, 0.0]))
    features = torch.randn(2, FEATURES, requires_grad=True)

    embeddings = head(features)
    embeddings.sum().backward()

    torch.testing.assert_close(embeddings.norm(dim=-1), torch.ones(2))
    evidence = embeddings[:, CONFIG.text_dim : -1] * 2**0.5
    torch.testing.assert_close(evidence[0].detach(), head.word_head.words[0])
    assert features.grad is not None
    assert features.grad.isfinite().all()


@pytest.mark.parametrize(
    ("vocabulary", "evidence_dim"), [(0, 4), (3, 11), (3, -1)], ids=["no words", "long", "negative"]
)
def test_evidence_needs_words_and_room(vocabulary: int, evidence_dim: int) -> None:
    with pytest.raises(ValueError, match="evidence_dim"):
        EncoderConfig("efficientnet_lite0", DIM, vocabulary=vocabulary, evidence_dim=evidence_dim)


def test_the_text_part_is_the_rest_of_an_embedding() -> None:
    assert CONFIG.text_dim == DIM - EVIDENCE - 1
    assert EncoderConfig("efficientnet_lite0", DIM).text_dim == DIM
