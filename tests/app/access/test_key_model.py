"""Any sequence of key changes through two services gives the rights of a simple model."""

import tempfile
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
)

from app.access.errors import KeyNotValid, RightsExceeded
from app.access.grants import Grant
from app.access.keyring import Keyring
from app.access.management import create_key, list_keys, revoke_key, rotate_key
from app.store.access import SCOPES, KeyNotFound, KeyStore, Limits, Rights

LIMITS = st.sampled_from([None, 1, 5])
RIGHTS = st.builds(
    Rights,
    st.frozensets(st.sampled_from(SCOPES)),
    st.sampled_from([None, frozenset[str](), frozenset(["a"]), frozenset(["a", "b"])]),
    st.builds(Limits, LIMITS, LIMITS, LIMITS, LIMITS),
)
SERVICES = st.sampled_from([0, 1])
ALL = Rights(frozenset(SCOPES))


@dataclass
class Known:
    """A key as the model knows it: rights, creator, and the secrets that are accepted."""

    id: str
    rights: Rights
    creator: "Known | None"
    accepted: list[str]
    refused: list[str] = field(default_factory=list)


class KeysAsModel(RuleBasedStateMachine):
    """Two services on one database beside a list of keys."""

    keys: Bundle[Known] = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        url = f"sqlite:///{Path(self.folder.name) / 'labels.sqlite'}"
        self.stores = [KeyStore.open(url) for _ in range(2)]
        self.known: list[Known] = []

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
        self.folder.cleanup()

    def grant(self, service: int, text: str) -> Grant:
        # a new keyring: what an older one keeps for a second is not the subject
        return anyio.run(Keyring(self.stores[service]).grant_of, text)

    @rule(target=keys, service=SERVICES, rights=RIGHTS)
    def create_locally(self, service: int, rights: Rights) -> Known:
        issued = create_key(self.stores[service], "x", rights, by=None)
        return self.remember(Known(issued.key.id, rights, None, [issued.token.text]))

    @rule(target=keys, service=SERVICES, creator=keys, rights=RIGHTS)
    def create_with(
        self, service: int, creator: Known, rights: Rights
    ) -> Known | MultipleResults[Known]:
        if not creator.accepted:
            return multiple()
        by = self.grant(service, creator.accepted[-1]).key
        if not rights.within(creator.rights):
            with pytest.raises(RightsExceeded):
                create_key(self.stores[service], "x", rights, by=by)
            return multiple()
        issued = create_key(self.stores[service], "x", rights, by=by)
        return self.remember(Known(issued.key.id, rights, creator, [issued.token.text]))

    def remember(self, known: Known) -> Known:
        self.known.append(known)
        return known

    @rule(service=SERVICES, actor=keys, key=keys, overlaps=st.booleans())
    def rotate(self, service: int, actor: Known, key: Known, overlaps: bool) -> None:
        if not actor.accepted:
            return
        by = self.grant(service, actor.accepted[-1]).key
        overlap = timedelta(hours=overlaps)
        if not key.rights.within(actor.rights):
            with pytest.raises(RightsExceeded):
                rotate_key(self.stores[service], key.id, overlap=overlap, by=by)
        elif not key.accepted:
            with pytest.raises(KeyNotFound):
                rotate_key(self.stores[service], key.id, overlap=overlap, by=by)
        else:
            issued = rotate_key(self.stores[service], key.id, overlap=overlap, by=by)
            kept = key.accepted[-1:] if overlaps else []
            key.refused += [text for text in key.accepted if text not in kept]
            key.accepted = [*kept, issued.token.text]

    @rule(service=SERVICES, key=keys)
    def revoke(self, service: int, key: Known) -> None:
        if not key.accepted:
            with pytest.raises(KeyNotFound):
                revoke_key(self.stores[service], key.id, by=None)
            return
        revoke_key(self.stores[service], key.id, by=None)
        key.refused += key.accepted
        key.accepted = []

    @rule(service=SERVICES, key=keys)
    def use(self, service: int, key: Known) -> None:
        for text in key.accepted:
            grant = self.grant(service, text)
            assert grant.rights == key.rights
            chain = [key]
            while chain[-1].creator is not None:
                chain.append(chain[-1].creator)
            limited = {each.id for each in chain if each.rights.limits != Limits()}
            assert {pool.key_id for pool in grant.pools} == limited
        for text in key.refused:
            with pytest.raises(KeyNotValid):
                self.grant(service, text)

    @rule(service=SERVICES, actor=keys)
    def list_visible(self, service: int, actor: Known) -> None:
        if not actor.accepted:
            return
        by = self.grant(service, actor.accepted[-1]).key
        listed = list_keys(self.stores[service], by=by, after="", limit=100)
        visible = [each.id for each in self.known if each.rights.within(actor.rights)]
        assert [key.id for key in listed] == sorted(visible)

    @invariant()
    def no_key_has_more_rights_than_the_one_that_it_comes_from(self) -> None:
        for key in self.known:
            if key.creator is not None:
                assert key.rights.within(key.creator.rights)
            assert key.rights.within(ALL)


KeysAsModel.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
TestKeysAsModel = KeysAsModel.TestCase
