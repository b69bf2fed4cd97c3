"""What a model list (`GET /models`) says of models: which there are, and when each is shut down."""

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime

#: Models of a list that are read. The vendor's has about a hundred, a relay's some hundreds.
_MOST = 10_000


def listed(body: bytes) -> Mapping[str, date | None]:
    """The listed models and their shutdown dates (None: none was sent); empty when it is no list.

    The field is `shutdown_date` (official Python client 3.51.0), a day as text. A time is taken for
    its day in UTC; what cannot be read is no date. Never raises.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    data = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(data, list):
        return {}
    return {
        entry["id"]: _day(entry.get("shutdown_date"))
        for entry in data[:_MOST]
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    }


def brief(body: bytes) -> bytes:
    """The list with nothing but ids and shutdown dates; a body that is no list stays as it is."""
    models = listed(body)
    if not models:
        return body
    data = [
        {"id": name} | ({"shutdown_date": day.isoformat()} if day else {})
        for name, day in models.items()
    ]
    return json.dumps({"object": "list", "data": data}).encode()


def _day(value: object) -> date | None:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC).date()
        if isinstance(value, str):
            at = datetime.fromisoformat(value.strip())
            return at.astimezone(UTC).date() if at.tzinfo else at.date()
    except (ValueError, OverflowError, OSError):
        pass
    return None
