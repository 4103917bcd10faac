"""Making a delivery ready and sending it: its headers are signed at the moment of sending."""

from purvey.server.kit.safe_http import Answer, Failure, SafeHttp
from purvey.server.kit.tools import Tools
from purvey.server.webhooks import rules
from purvey.server.webhooks.model import Due, Prepared, Secrets


def prepared(tools: Tools, due: Due) -> Prepared:
    """Return the request that is to be sent now, signed with what signs now."""
    at = tools.clock.now()
    body = due.body.encode()
    overlaps = due.previous_secret is not None and due.previous_until is not None and due.previous_until > at
    previous = tools.keyring.open(due.previous_secret) if due.previous_secret and overlaps else None
    headers = rules.request_headers(
        event_id=due.event_id,
        event_type=due.event_type,
        body=body,
        secrets=Secrets(tools.keyring.open(due.secret), previous),
        signature_format=due.signature_format,
        at=at,
    )
    return Prepared(due, headers, body, at)


async def send(http: SafeHttp, ready: Prepared, deadline: float = rules.DEADLINE) -> Answer | Failure:
    """Make one attempt, of `deadline` seconds at most, and return what came of it."""
    return await http.send(
        "POST",
        ready.due.url,
        headers=ready.headers,
        body=ready.body,
        deadline=deadline,
        max_response=rules.ANSWER_BYTES,
    )
