"""A seller's program, in a process of its own: it verifies an order.paid webhook, makes the content and delivers it.

Its handler is written as the documentation of the interface has it, to the line: only host, key and secret come from the
environment. It blocks its own event loop while it delivers, so that the delivery is answered before the webhook is.
"""

# ruff: noqa: ANN201, ASYNC210
# mypy: disable-error-code="no-untyped-def"
# The two lines above are for the handler, which is not ours to improve.

import hashlib
import hmac
import os
import sys

import httpx
import uvicorn
from fastapi import FastAPI, HTTPException, Request

API_URL = os.environ["RECEIVER_API_URL"]
WEBHOOK_SECRET = os.environ["RECEIVER_WEBHOOK_SECRET"]
API_KEY = os.environ["RECEIVER_API_KEY"]

app = FastAPI()


@app.post("/hook")
async def handle_webhook(request: Request):
    payload = await request.body()
    signature = request.headers.get("X-ListBee-Signature", "")

    expected = hmac.new(WEBHOOK_SECRET.encode(), payload, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected, signature):
        raise HTTPException(status_code=400, detail="Invalid signature")

    event = await request.json()

    if event["type"] == "order.paid":
        data = event["data"]

        # Everything needed is in the webhook — no API call required
        horoscope = generate_horoscope(
            birth_date=data["checkout_data"]["birth_date"],
            focus=data["checkout_data"].get("zodiac_focus", "General"),
        )

        # Push generated content to ListBee for delivery
        httpx.post(
            f"{API_URL}/v1/orders/{data['order_id']}/deliver",
            headers={"Authorization": f"Bearer {API_KEY}"},
            json={"type": "text", "value": horoscope},
        )

    return {"ok": True}


def generate_horoscope(birth_date: str, focus: str = "General") -> str:
    # Your AI generation logic
    return f"Your personalized {focus.lower()} horoscope for {birth_date}..."


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]))
