"""The acts on endpoints and on what they are told, and the scenes that they need."""

import child
from crash import scenes
from crash.act import Act, Telling, asks, in_turn, unless_known
from crash.scenes import generated, on_sale
from crash.stage import Scene
from purvey.server.webhooks import actions as webhooks
from purvey.server.webhooks.wire import NewEndpoint


def own_endpoint(path: str = "") -> Telling:
    """Make an endpoint of the seller's own, told of everything at the receiver outside: `{own}`."""

    async def make(scene: Scene) -> None:
        data = NewEndpoint(url=scene.stage.outside.hook_url + path)
        made = await webhooks.create_endpoint(scene.tools, scene.account.id, data)
        scene.names["own"] = made.id

    return make


BOUGHT = in_turn(own_endpoint(), generated, scenes.checkout, scenes.paid)
"""An order of which the seller's own endpoint and the listing's callback are about to be told."""


async def make_endpoint(scene: Scene) -> None:
    """Make an endpoint."""
    await scene.ask("POST", "/v1/webhooks", (201,), json={"url": scene.stage.outside.hook_url})


async def move_and_pause(scene: Scene) -> None:
    """Give the endpoint another URL, and pause it."""
    body = {"url": f"{scene.stage.outside.hook_url}?moved", "enabled": False, "rate_limit": 5}
    await scene.ask("PATCH", "/v1/webhooks/{own}", json=body)


async def rotate_endpoint(scene: Scene) -> None:
    """Rotate the endpoint's secret, and keep what was shown."""
    reply = await scene.ask("POST", "/v1/webhooks/{own}/rotate-secret", json={"overlap_seconds": 60})
    if reply is not None:
        scene.names["secret"] = reply.json["secret"]


async def endpoint_secret_signs(scene: Scene) -> None:
    """The secret that was shown last is the one that signs."""
    sealed = await scene.sql("SELECT secret FROM endpoints WHERE account_id = $1", scene.account.id)
    assert scene.tools.keyring.open(sealed) == scene.names["secret"]


async def redeliver(scene: Scene) -> None:
    """Have the order's events told again."""
    await scene.ask("POST", "/v1/orders/{order}/redeliver", (202,))


async def replay(scene: Scene) -> None:
    """Have all events told again to the listing's callback."""
    await scene.ask("POST", "/v1/webhooks/{endpoint}/replay", (202,))


async def retry(scene: Scene) -> None:
    """Have the first delivery to the listing's callback attempted now."""
    scene.names["delivery"] = await scene.sql(
        "SELECT deliveries.id FROM deliveries JOIN endpoints ON endpoints.id = endpoint_id AND kind = 'listing_callback'"
        " WHERE deliveries.account_id = $1 AND generation = 1",
        scene.account.id,
    )
    await scene.ask("POST", "/v1/deliveries/{delivery}/retry", (202,))


async def long_replay(scene: Scene) -> None:
    """Have a replay begun that has everything left to tell."""
    plan = (scene.account.id, scene.names["endpoint"], scene.tools.clock.now())
    await scene.tools.database.write(
        "SELECT jobs_push(ARRAY[('job_of_replay', 'replays', 'webhooks.replay', $1, id, $3)::job_new], $3) FROM ("
        " SELECT (webhooks_replay_begin($1, 'rpl_' || $1, $2, '{}', 'all', NULL, 0, NULL, NULL, false, 9, 9, $3)).id) begun",
        *plan,
    )
    await scene.tools.database.write(
        "UPDATE replays SET status = 'running', finished_at = NULL, reached = 0, last = 99 WHERE account_id = $1",
        plan[0],
    )


async def parked_behind(scene: Scene) -> None:
    """Have the listing's callback enabled, with a delivery that is parked as if there were too many to be resumed at once."""
    account_id, endpoint, now = scene.account.id, scene.names["endpoint"], scene.tools.clock.now()
    database = scene.tools.database
    await database.write("SELECT webhooks_disable($1, $2, 'by_seller', NULL, $3)", account_id, endpoint, now)
    await database.write(
        "UPDATE endpoints SET status = 'enabled', disabled_reason = NULL WHERE account_id = $1 AND id = $2",
        account_id,
        endpoint,
    )
    await database.write(
        "SELECT lane_ensure('endpoints', 'endpoints', NULL, 'what follows', 4, $3),"
        " jobs_push(ARRAY[('job_following_' || $1, 'endpoints', 'webhooks.follow', $1, $2, $3)::job_new], $3)",
        *(account_id, endpoint, now),
    )


AGAIN = {
    "what was told again is told whole": """
        SELECT count(*) BETWEEN 1 AND 2 AND bool_and(deliveries.status = 'delivered') FROM deliveries
        JOIN endpoints ON endpoints.id = endpoint_id AND kind = 'listing_callback'
        WHERE deliveries.account_id = $1 AND generation > 1"""
}
REPEATED = [
    Act(
        "an order's events are told again",
        ("webhooks.actions.redeliver",),
        redeliver,
        BOUGHT,
        again=unless_known(redeliver),
        checks=AGAIN
        | {
            "each request made all deliveries or none": """
                SELECT count(*) = 2 * (SELECT count(*) FROM redeliveries WHERE account_id = $1) FROM deliveries
                WHERE account_id = $1 AND generation > 1"""
        },
    ),
    Act(
        "a stretch of the log is told again",
        ("webhooks.actions.begin_replay",),
        replay,
        BOUGHT,
        again=unless_known(replay),
        checks=AGAIN
        | {
            "each replay is done": """
                SELECT bool_and(status = 'done' AND made = 1) AND count(*) =
                    (SELECT count(*) FROM deliveries WHERE account_id = $1 AND generation > 1)
                FROM replays WHERE account_id = $1"""
        },
    ),
    Act(
        "a replay goes on",
        ("webhooks.work.GoOnWithReplay.run",),
        scene=in_turn(BOUGHT, long_replay),
        checks={
            "it told each event once": """
            SELECT status = 'done' AND made = 1 AND made =
                (SELECT count(*) FROM deliveries WHERE account_id = $1 AND generation > 1)
            FROM replays WHERE account_id = $1"""
        },
    ),
    Act(
        "what was parked follows its endpoint",
        ("webhooks.work.Follow.run",),
        scene=in_turn(BOUGHT, parked_behind),
        checks={
            "it is delivered": """
                SELECT count(*) = 1 AND bool_and(deliveries.status = 'delivered') FROM deliveries
                JOIN endpoints ON endpoints.id = endpoint_id AND kind = 'listing_callback' WHERE deliveries.account_id = $1"""
        },
    ),
    Act(
        "a delivery is retried",
        ("webhooks.actions.retry_delivery",),
        retry,
        BOUGHT,
        again=unless_known(retry),
    ),
]


async def an_old_log(scene: Scene) -> None:
    """Have an event, a replay and a notice that are older than what is kept, with deliveries that nobody took."""
    database, account_id, now = scene.tools.database, scene.account.id, scene.tools.clock.now()
    for endpoint, reason in (("own", "by_seller"), ("endpoint", "gone")):
        disable = "SELECT webhooks_disable($1, $2, $3, NULL, $4)"
        await database.write(disable, account_id, scene.names[endpoint], reason, now)
    begin = "SELECT webhooks_replay_begin($1, 'rpl_' || $1, $2, '{}', 'all', NULL, 0, NULL, NULL, false, 9, 9, $3)"
    await database.write(begin, account_id, scene.names["own"], now)
    old = f"- interval '{child.RETENTION_DAYS + 1} days'"
    await database.write(f"UPDATE events SET created_at = created_at {old} WHERE account_id = $1", account_id)
    await database.write(f"UPDATE endpoint_notices SET made_at = made_at {old} WHERE account_id = $1", account_id)
    await database.write(
        f"UPDATE replays SET status = 'done', finished_at = created_at {old} WHERE account_id = $1", account_id
    )
    # What the telling before left would come in an hour.
    await database.write("DELETE FROM jobs WHERE kind = 'events.expire'")


async def expire(scene: Scene) -> None:
    """Have old events let go from now on, as a start of the server does."""
    await scene.do("events.work.begin_expiring", child.RETENTION_DAYS)


EXPIRED = Act(
    "old events are let go",
    ("events.work.begin_expiring", "events.work.Expire.run"),
    expire,
    in_turn(own_endpoint(), on_sale(content_type="webhook", callback=True), scenes.checkout, scenes.paid, an_old_log),
    checks={
        "the old event is gone": """
            SELECT (expired_sequence, last_sequence) = (1, 1) FROM event_streams WHERE account_id = $1""",
        "its deliveries are": "SELECT count(*) = 0 FROM deliveries WHERE account_id = $1",
        "what was kept beside it is": """
            SELECT NOT EXISTS (SELECT FROM replays WHERE account_id = $1)
                AND NOT EXISTS (SELECT FROM endpoint_notices WHERE account_id = $1)""",
    },
)

ENDPOINTS = [
    *REPEATED,
    EXPIRED,
    Act(
        "an endpoint is made",
        ("webhooks.actions.create_endpoint",),
        make_endpoint,
        again=unless_known(make_endpoint),
        checks={
            "it is, unless it was asked for twice": "SELECT count(*) BETWEEN 1 AND 2 FROM endpoints WHERE account_id = $1"
        },
    ),
    Act(
        "an endpoint is moved and paused",
        ("webhooks.actions.change_endpoint",),
        move_and_pause,
        BOUGHT,
        checks={
            "it is": """
                SELECT count(*) = 1 FROM endpoints WHERE account_id = $1 AND status = 'disabled' AND url LIKE '%?moved'""",
            "what waited is parked": """
                SELECT bool_and(deliveries.status = 'parked') FROM deliveries JOIN endpoints ON endpoints.id = endpoint_id
                WHERE deliveries.account_id = $1 AND kind = 'account'""",
        },
    ),
    Act(
        "an endpoint's secret is rotated",
        ("webhooks.actions.rotate_secret",),
        rotate_endpoint,
        own_endpoint(),
        again=unless_known(rotate_endpoint),
        known=endpoint_secret_signs,
    ),
    Act(
        "an endpoint is deleted",
        ("webhooks.actions.delete_endpoint",),
        asks("DELETE", "/v1/webhooks/{own}", 204, 404),
        BOUGHT,
        checks={
            "it is": "SELECT count(*) = 1 FROM endpoints WHERE account_id = $1 AND status = 'deleted'",
            "what waited is parked": """
                SELECT bool_and(deliveries.status = 'parked') FROM deliveries JOIN endpoints ON endpoints.id = endpoint_id
                WHERE deliveries.account_id = $1 AND kind = 'account'""",
        },
    ),
]
