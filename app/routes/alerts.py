"""Routes for alerts: words that are watched for in newly kept videos."""

from functools import partial
from typing import Annotated

from anyio import to_thread
from fastapi import APIRouter, Depends, Path, Response

from app.routes.addressing import known_parameters
from app.routes.callbacks import checked_callback
from app.routes.dependencies import StateDep
from app.routes.schemas.alerts import AlertAnswer, AlertsAnswer, NewAlert

router = APIRouter(tags=["archive"], dependencies=[Depends(known_parameters)])

AlertId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Id of the alert.")]


@router.post("/alerts", summary="Watch for words in kept videos", status_code=201)
async def create_alert(response: Response, state: StateDep, wanted: NewAlert) -> AlertAnswer:
    """Sends a webhook for every newly kept video in which the words reach the score.

    A span counts where `/classify` would report the words as a label with this threshold.
    """
    url = checked_callback(wanted.callback_url, "body", state["settings"])
    # words that cannot be embedded are refused now
    await state["queries"].of_text(wanted.q)
    create = partial(state["alerts"].create, wanted.q, wanted.min_score, url)
    alert = await to_thread.run_sync(create)
    response.headers["Location"] = f"/alerts/{alert.id}"
    return AlertAnswer.of(alert)


@router.get("/alerts", summary="List alerts")
async def list_alerts(state: StateDep) -> AlertsAnswer:
    """Returns all alerts, newest first."""
    alerts = await to_thread.run_sync(state["alerts"].all)
    return AlertsAnswer(items=[AlertAnswer.of(alert) for alert in alerts], next_page_token="")


@router.get("/alerts/{alert_id}", summary="Read an alert")
async def get_alert(state: StateDep, alert_id: AlertId) -> AlertAnswer:
    """Returns the alert."""
    return AlertAnswer.of(await to_thread.run_sync(state["alerts"].get, alert_id))


@router.delete("/alerts/{alert_id}", summary="Delete an alert", status_code=204)
async def delete_alert(state: StateDep, alert_id: AlertId) -> None:
    """Stops watching; messages that are queued are still sent."""
    await to_thread.run_sync(state["alerts"].remove, alert_id)
