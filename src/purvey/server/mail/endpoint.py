"""What a mail about an endpoint that keeps failing says, stage by stage. Pure."""

from datetime import UTC
from typing import Any

from purvey.server.mail.model import EndpointFacts
from purvey.server.mail.rules import one_line

LONGEST = 200
"""Characters of a URL or an error that a mail shows."""

TITLES = {
    "failing": "Your webhooks do not arrive",
    "still_failing": "Your webhooks still do not arrive",
    "disabled": "A webhook endpoint was switched off",
}
STORIES = {
    "failing": "An endpoint of yours keeps failing. What happens is still recorded, and is tried again on schedule.",
    "still_failing": "For more than a day nothing has arrived at this endpoint. Some events were given up by now.",
    "disabled": "The endpoint answered HTTP 410, which means that it is gone for good. It is told nothing more.",
}


def words(facts: EndpointFacts) -> dict[str, Any]:
    """Return what the templates need."""
    since = facts.since.astimezone(UTC)
    return {
        "title": TITLES[facts.stage],
        "subject": f"{TITLES[facts.stage]}: {one_line(facts.name, 60)}",
        "story": STORIES[facts.stage],
        "advice": _advice(facts),
        "since": f"{since.day} {since:%B %Y, %H:%M} UTC",
        "to_seller": True,
        "endpoint": {
            "endpoint_id": facts.endpoint_id,
            "name": one_line(facts.name, LONGEST),
            "url": one_line(facts.url, LONGEST),
            "error": one_line(facts.error, LONGEST) if facts.error else None,
        },
    }


def _advice(facts: EndpointFacts) -> str:
    path = f"/v1/webhooks/{facts.endpoint_id}"
    if facts.stage != "disabled":
        return f"POST {path}/test shows what is sent and answered; POST {path}/replay tells again what was missed, once it works."
    if facts.kind == "listing_callback":
        return f"Give listing {facts.listing_id} another agent_callback_url, or enable the endpoint: PATCH {path}."
    return f"Give it another URL, or enable it again, with PATCH {path}: what was parked meanwhile is told then."
