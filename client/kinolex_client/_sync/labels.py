# Written by client/make_sync.py; edit `_async` instead.
"""Calls about labels, label sets and the examples of a label."""

from collections.abc import Iterable, Iterator
from urllib.parse import quote

from kinolex_client._sync.paging import SyncPaged
from kinolex_client._sync.transport import SyncCall
from kinolex_client.answers import Label, LabelSet, Taught, Written
from kinolex_client.decoding import decode
from kinolex_client.options import LabelFields, query
from kinolex_client.videos import Source, Video

DEFAULT_SET = "default"


class SyncLabels(SyncPaged):
    """The part of the client for labels; `label_set` is the set that is meant."""

    def put_labels(
        self, labels: Iterable[str | LabelFields], *, label_set: str = DEFAULT_SET
    ) -> Written:
        """Add labels and replace those of the same name: all of them, or none on an error."""
        call = SyncCall("PUT", _labels(label_set), body={"labels": list(labels)})
        return decode(Written, self._transport.json(call))

    def labels(self, *, containing: str = "", label_set: str = DEFAULT_SET) -> Iterator[Label]:
        """Iterate over the labels of a set, by name; only those that contain a text."""
        return self._pages(Label, _labels(label_set), query({"q": containing or None}))

    def label(self, name: str, *, label_set: str = DEFAULT_SET) -> Label:
        """Return a label, by any spelling of its name."""
        call = SyncCall("GET", _label(label_set, name))
        return decode(Label, self._transport.json(call))

    def delete_label(self, name: str, *, label_set: str = DEFAULT_SET) -> Written:
        """Remove a label."""
        call = SyncCall("DELETE", _label(label_set, name))
        return decode(Written, self._transport.json(call))

    def add_example(self, name: str, video: Video, *, label_set: str = DEFAULT_SET) -> Taught:
        """Teach a label by a short video that shows it; only its embedding is stored."""
        call = SyncCall("POST", f"{_label(label_set, name)}/examples", video=Source(video))
        return decode(Taught, self._transport.json(call))

    def label_sets(self) -> Iterator[LabelSet]:
        """Iterate over the label sets, by name."""
        return self._pages(LabelSet, "/label-sets")

    def create_label_set(
        self,
        name: str,
        labels: Iterable[str | LabelFields] = (),
        *,
        copy_of: str | None = None,
    ) -> Written:
        """Create a label set with labels, or as a copy of another set."""
        body = {"labels": list(labels)} if copy_of is None else {"copy_of": copy_of}
        call = SyncCall("PUT", _set(name), headers={"If-None-Match": "*"}, body=body)
        return decode(Written, self._transport.json(call))

    def replace_label_set(
        self, name: str, labels: Iterable[str | LabelFields], *, revision: int
    ) -> Written:
        """Replace all labels of a set, if it is still at the revision. Raises RevisionMismatch."""
        headers = {"If-Match": f'"{revision}"'}
        call = SyncCall("PUT", _set(name), headers=headers, body={"labels": list(labels)})
        return decode(Written, self._transport.json(call))

    def delete_label_set(self, name: str) -> Written:
        """Delete a label set and its labels."""
        return decode(Written, self._transport.json(SyncCall("DELETE", _set(name))))


def _set(label_set: str) -> str:
    return f"/label-sets/{quote(label_set, safe='')}"


def _labels(label_set: str) -> str:
    return f"{_set(label_set)}/labels"


def _label(label_set: str, name: str) -> str:
    return f"{_labels(label_set)}/{quote(name, safe='')}"
