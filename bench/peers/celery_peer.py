"""Celery with Redis and requests. Run with a number to queue so many; `celery -A celery_peer worker` works."""

import base64
import hmac
import os
import sys
import time

import requests
from celery import Celery

URL = os.environ["PEER_URL"]
BODY = os.environ["PEER_BODY"].encode()
SECRET = b"a secret that only measurements use"

app = Celery("peers", broker=os.environ["PEER_REDIS"], backend=os.environ["PEER_REDIS"])
app.conf.worker_prefetch_multiplier = 64
session = requests.Session()


@app.task(name="deliver")
def deliver(number: int) -> int:
    """Sign and send one event, and keep the status as the result."""
    at = int(time.time())
    signature = base64.b64encode(hmac.digest(SECRET, b"evt_%d.%d.%b" % (number, at, BODY), "sha256")).decode()
    headers = {
        "Content-Type": "application/json",
        "webhook-id": f"evt_{number}",
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{signature}",
    }
    return session.post(
        f"{URL}/{number % 4}", data=BODY, headers=headers, timeout=30, allow_redirects=False
    ).status_code


if __name__ == "__main__":
    for each in range(int(sys.argv[1])):
        deliver.delay(each)
