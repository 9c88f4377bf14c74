"""Calls about labels, label sets and the examples of a label."""

from collections.abc import AsyncIterator, Iterable
from urllib.parse import quote

from kinolex_client._async.paging import AsyncPaged
from kinolex_client._async.transport import AsyncCall
from kinolex_client.answers import Label, LabelSet, Taught, Written
from kinolex_client.decoding import decode
from kinolex_client.options import LabelFields, query
from kinolex_client.videos import Source, Video

DEFAULT_SET = "default"


class AsyncLabels(AsyncPaged):
    """The part of the client for labels; `label_set` is the set that is meant."""

    async def put_labels(
        self, labels: Iterable[str | LabelFields], *, label_set: str = DEFAULT_SET
    ) -> Written:
        """Add labels and replace those of the same name: all of them, or none on an error."""
        call = AsyncCall("PUT", _labels(label_set), body={"labels": list(labels)})
        return decode(Written, await self._transport.json(call))

    def labels(self, *, containing: str = "", label_set: str = DEFAULT_SET) -> AsyncIterator[Label]:
        """Iterate over the labels of a set, by name; only those that contain a text."""
        return self._pages(Label, _labels(label_set), query({"q": containing or None}))

    async def label(self, name: str, *, label_set: str = DEFAULT_SET) -> Label:
        """Return a label, by any spelling of its name."""
        call = AsyncCall("GET", _label(label_set, name))
        return decode(Label, await self._transport.json(call))

    async def delete_label(self, name: str, *, label_set: str = DEFAULT_SET) -> Written:
        """Remove a label."""
        call = AsyncCall("DELETE", _label(label_set, name))
        return decode(Written, await self._transport.json(call))

    async def add_example(self, name: str, video: Video, *, label_set: str = DEFAULT_SET) -> Taught:
        """Teach a label by a short video that shows it; only its embedding is stored."""
        call = AsyncCall("POST", f"{_label(label_set, name)}/examples", video=Source(video))
        return decode(Taught, await self._transport.json(call))

    def label_sets(self) -> AsyncIterator[LabelSet]:
        """Iterate over the label sets, by name."""
        return self._pages(LabelSet, "/label-sets")

    async def create_label_set(
        self,
        name: str,
        labels: Iterable[str | LabelFields] = (),
        *,
        copy_of: str | None = None,
    ) -> Written:
        """Create a label set with labels, or as a copy of another set."""
        body = {"labels": list(labels)} if copy_of is None else {"copy_of": copy_of}
        call = AsyncCall("PUT", _set(name), headers={"If-None-Match": "*"}, body=body)
        return decode(Written, await self._transport.json(call))

    async def replace_label_set(
        self, name: str, labels: Iterable[str | LabelFields], *, revision: int
    ) -> Written:
        """Replace all labels of a set, if it is still at the revision. Raises RevisionMismatch."""
        headers = {"If-Match": f'"{revision}"'}
        call = AsyncCall("PUT", _set(name), headers=headers, body={"labels": list(labels)})
        return decode(Written, await self._transport.json(call))

    async def delete_label_set(self, name: str) -> Written:
        """Delete a label set and its labels."""
        return decode(Written, await self._transport.json(AsyncCall("DELETE", _set(name))))


def _set(label_set: str) -> str:
    return f"/label-sets/{quote(label_set, safe='')}"


def _labels(label_set: str) -> str:
    return f"{_set(label_set)}/labels"


def _label(label_set: str, name: str) -> str:
    return f"{_labels(label_set)}/{quote(name, safe='')}"
