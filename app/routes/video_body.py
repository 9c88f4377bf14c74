"""OpenAPI description of requests with a video: a form or a raw body, and the options."""

from typing import Any

from pydantic import BaseModel


def video_body(options: type[BaseModel]) -> dict[str, Any]:
    """Return the body and parameters for `openapi_extra`: FastAPI does not see a streamed body.

    The options are declared as query parameters only, although a form may have them as fields: a
    generated client would send its defaults in both places, and an option may be given once.
    """
    video = {"type": "string", "format": "binary", "description": "The video file."}
    form = {
        "type": "object",
        "properties": {"file": video},
        "required": ["file"],
        "additionalProperties": False,
    }
    raw = {"schema": {"type": "string", "format": "binary"}}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": form},
                "video/*": raw,
                "application/octet-stream": raw,
            },
        },
        "parameters": [
            {
                "name": name,
                "in": "query",
                "schema": {key: value for key, value in schema.items() if key != "description"},
                "description": schema["description"],
            }
            for name, schema in options.model_json_schema()["properties"].items()
        ],
    }
