"""An act is told once without a death, which shows its steps, and then once for each step, with a death there."""

import msgspec

import child
from crash import checks
from crash.act import Act
from crash.scenes import buyer_of
from crash.stage import Scene, Stage, open_scene

TELLINGS = 4
"""How often an act is told until a step comes by that does not in each telling: two jobs may be done in either order."""


async def steps_of(stage: Stage, act: Act) -> list[child.Step]:
    """Tell the act without a death, and return its steps."""
    return await tell(stage, act, None)


async def kill_at(stage: Stage, act: Act, step: child.Step) -> None:
    """Tell the act with a death at `step`, and hold the world to all that must be so in the end."""
    for _ in range(TELLINGS):
        try:
            came = await tell(stage, act, step.name)
        except AssertionError as error:
            raise AssertionError(f"after a death at the step {step.name!r}: {error}") from error
        if step.name in {one.name for one in came}:
            return
    raise AssertionError(f"the step {step.name!r} never came by again")


async def tell(stage: Stage, act: Act, die_at: str | None) -> list[child.Step]:
    """Tell the act, with a death at `die_at`; return the steps that came by, the last of which may be that one.

    Whether anybody died or not: in the end everybody tries again, and nothing more may come of it.
    """
    scene = await open_scene(stage)
    await act.scene(scene)
    await stage.server.begin(die_at)
    await act.deed(scene)
    await stage.settle(lambda: act.hear(scene))
    steps = stage.server.steps
    if not await stage.start_again():
        await stage.server.begin(None)
    await (act.again or act.deed)(scene)
    await stage.settle(lambda: act.hear(scene))
    assert not stage.server.was_killed()
    await check(stage, act, scene)
    return steps


async def check(stage: Stage, act: Act, scene: Scene) -> None:
    """Hold the world to what was promised."""
    broken = await checks.broken(stage.database, checks.INVARIANTS)
    broken += await checks.broken(stage.database, act.checks, scene.account.id) if act.checks else []
    assert not broken, broken
    await act.known(scene)
    await everything_was_sent(scene)
    await no_cursor_skips(scene)
    await no_bytes_are_left(scene)


async def no_bytes_are_left(scene: Scene) -> None:
    """What lies in the storage is what rows name, and all of it; half a file, left by a death, is gone."""
    named = await scene.tools.database.rows("SELECT blob FROM files WHERE status IN ('waiting', 'attached')")
    folder = scene.stage.files
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}  # nobody waits
    assert found == {row["blob"] for row in named}


async def everything_was_sent(scene: Scene) -> None:
    """What is recorded as delivered was delivered, and what is recorded as sent was sent."""
    scene.webhooks()
    told = {event["id"] for event in scene.heard}
    account = scene.account.id
    rows = await scene.tools.database.rows(
        "SELECT event_id FROM deliveries WHERE account_id = $1 AND status = 'delivered'", account
    )
    assert {row["event_id"] for row in rows} <= told, "a webhook is recorded as delivered that never came"
    sent = await scene.sql(
        "SELECT count(*) FROM messages WHERE status = 'sent' AND (account_id = $1 OR account_id = '' AND recipient = $2)",
        account,
        buyer_of(scene),
    )
    letters = scene.stage.outside.letters
    came = {str(letters.get_nowait()["Message-ID"]) for _ in range(letters.qsize())}
    assert len(came) == sent, f"{sent} mails are recorded as sent, and {len(came)} came"


async def no_cursor_skips(scene: Scene) -> None:
    """Whoever reads the log page by page reads all of it that was not let go."""
    gone = await scene.sql(
        "SELECT coalesce(max(expired_sequence), 0) FROM event_streams WHERE account_id = $1", scene.account.id
    )
    events = await scene.sql("SELECT count(*) FROM events WHERE account_id = $1", scene.account.id)
    read: list[int] = []
    cursor = ""
    while len(read) < events:
        reply = await scene.stage.ask("GET", f"/v1/events?limit=1&cursor={cursor}", scene.key)
        assert reply is not None
        page = msgspec.json.decode(reply.body)
        read += [event["sequence"] for event in page["data"]]
        cursor = page["cursor"]
        assert page["has_more"] == (len(read) < events)
    assert read == list(range(gone + 1, gone + events + 1))
