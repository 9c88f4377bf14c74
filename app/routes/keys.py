"""Routes for API keys: create, list, read, rotate, revoke."""

from datetime import timedelta
from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Request, Response

from app.access.management import create_key, list_keys, read_key, revoke_key, rotate_key
from app.access.tokens import ID_PATTERN
from app.labels.fields import body_schema, read_body
from app.routes.addressing import (
    PageSize,
    PageToken,
    known_parameters,
    read_token,
    write_token,
)
from app.routes.dependencies import AccessDep, GrantDep
from app.routes.labels.writing import json_body
from app.routes.schemas.keys import (
    CreateKey,
    IssuedKeyAnswer,
    KeyAnswer,
    KeysAnswer,
    RotateKey,
)

router = APIRouter(tags=["keys"], dependencies=[Depends(known_parameters)])

KeyId = Annotated[str, Path(pattern=f"^{ID_PATTERN}$", description="Id of the API key.")]


def _keep_secret(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"


@router.post(
    "/keys",
    name="create_key",
    status_code=201,
    summary="Create an API key",
    openapi_extra=body_schema(CreateKey),
)
async def post_key(
    request: Request, response: Response, access: AccessDep, grant: GrantDep
) -> IssuedKeyAnswer:
    """Creates a key, whose rights must not exceed those of the key of the request.

    The answer has the secret, which cannot be read again. Keys share the limits of the key that
    created them.
    """
    wanted = read_body(CreateKey, await json_body(request))
    create = partial(create_key, access.store, wanted.name, wanted.rights, by=grant.key)
    issued = await to_thread.run_sync(create)
    response.headers["Location"] = f"/keys/{issued.key.id}"
    _keep_secret(response)
    return IssuedKeyAnswer.issued(issued)


@router.get("/keys", name="list_keys", summary="List API keys")
async def get_keys(
    access: AccessDep, grant: GrantDep, page_size: PageSize = 100, page_token: PageToken = ""
) -> KeysAnswer:
    """Returns a page of the keys whose rights do not exceed those of the key of the request."""
    after = read_token(page_token)
    read = partial(list_keys, access.store, by=grant.key, after=after, limit=page_size + 1)
    keys = await to_thread.run_sync(read)
    last = keys[page_size - 1].id if len(keys) > page_size else None
    return KeysAnswer(
        items=[KeyAnswer.of(key) for key in keys[:page_size]], next_page_token=write_token(last)
    )


@router.get("/keys/{key_id}", summary="Read an API key")
async def get_key(access: AccessDep, grant: GrantDep, key_id: KeyId) -> KeyAnswer:
    """Returns a key without its secret."""
    read = partial(read_key, access.store, key_id, by=grant.key)
    return KeyAnswer.of(await to_thread.run_sync(read))


@router.post(
    "/keys/{key_id}/rotate",
    name="rotate_key",
    summary="Rotate an API key",
    openapi_extra=body_schema(RotateKey),
)
async def post_rotation(
    request: Request, response: Response, access: AccessDep, grant: GrantDep, key_id: KeyId
) -> IssuedKeyAnswer:
    """Gives a key a new secret. The present one is accepted beside it for `overlap_seconds`."""
    wanted = read_body(RotateKey, await json_body(request))
    overlap = timedelta(seconds=wanted.overlap_seconds)
    rotate = partial(rotate_key, access.store, key_id, overlap=overlap, by=grant.key)
    issued = await to_thread.run_sync(rotate)
    access.keyring.forget(key_id)
    _keep_secret(response)
    return IssuedKeyAnswer.issued(issued)


@router.delete("/keys/{key_id}", name="revoke_key", summary="Revoke an API key")
async def delete_key(access: AccessDep, grant: GrantDep, key_id: KeyId) -> KeyAnswer:
    """Refuses a key from now on; other processes follow within a second. It stays in the list."""
    revoke = partial(revoke_key, access.store, key_id, by=grant.key)
    revoked = await to_thread.run_sync(revoke)
    access.keyring.forget(key_id)
    return KeyAnswer.of(revoked)
