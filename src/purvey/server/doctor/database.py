"""Checks of the database server, of the schema, and of the key."""

import time

from purvey.server import installation
from purvey.server.doctor import store
from purvey.server.doctor.model import Finding, ok, problem, span, warning
from purvey.server.doctor.patient import Missing, Patient

CLOCKS_APART = 1.0
"""Seconds by which the clocks may differ unnoticed."""
CLOCKS_FAR_APART = 60.0
"""Seconds after which receivers begin to refuse what we sign, since they refuse what is five minutes old."""


async def database(patient: Patient) -> Finding:
    """Check that the database lets us in."""
    if patient.reached is None:
        raise Missing
    return patient.reached


async def postgresql(patient: Patient) -> Finding:
    """Check that the server's version is known to work, and it can be written to."""
    facts = await store.facts(patient.server)
    if facts.is_standby:
        return problem(
            f"PostgreSQL {facts.version} is a standby, which cannot be written to.",
            "Name the primary server in PURVEY_DATABASE_URL.",
        )
    return ok(f"PostgreSQL {facts.version} can be written to.")


async def schema(patient: Patient) -> Finding:
    """Check that the schema is this program's."""
    if patient.schema is None:
        raise Missing
    return patient.schema


async def privileges(patient: Patient) -> Finding:
    """Check that the database's user may do what is needed, and not much more."""
    facts = await store.facts(patient.server)
    if not facts.may_create:
        return problem(
            "The database's user may not create tables, so the next version could not bring the schema up to date.",
            "Grant it CREATE on the schema, or make it the owner of the database.",
        )
    if facts.is_superuser:
        return warning(
            "The database's user is a superuser, which Purvey does not need.",
            "Make a user that owns this database alone.",
        )
    return ok("The database's user may do what is needed, and is no superuser.")


async def durability(patient: Patient) -> Finding:
    """Check that what is committed stays, whatever fails."""
    facts = await store.facts(patient.server)
    kept = {
        "fsync": facts.fsync,
        "full_page_writes": facts.full_page_writes,
        "synchronous_commit": facts.synchronous_commit,
    }
    lost = [name for name, value in kept.items() if value == "off"]
    if lost:
        harm = (
            "a crash can take orders of the last moments back although buyers saw them paid"
            if lost == ["synchronous_commit"]
            else "a power failure can destroy the database"
        )
        are = "is" if len(lost) == 1 else "are"
        return warning(f"{', '.join(lost)} {are} off: {harm}.", "Set to on what is off, in postgresql.conf.")
    return ok("What is committed stays (fsync, full_page_writes, synchronous_commit).")


async def autovacuum(patient: Patient) -> Finding:
    """Check that PostgreSQL cleans up by itself."""
    facts = await store.facts(patient.server)
    if "off" in {facts.autovacuum, facts.track_counts}:
        return warning(
            f"autovacuum is {facts.autovacuum} and track_counts is {facts.track_counts}: the queue's tables grow and slow down.",
            "Set both to on in postgresql.conf.",
        )
    return ok("autovacuum is on.")


async def connections(patient: Patient) -> Finding:
    """Check that the server has enough connections for our processes."""
    given = patient.settings
    most = (await store.facts(patient.server)).connections
    # Several processes that answer have one more beside them, which works.
    wanted = given.database_connections * (given.processes + (given.processes > 1))
    if wanted > most:
        return warning(
            f"This server may open {wanted} connections, and PostgreSQL takes {most} in all.",
            "Raise max_connections, or lower PURVEY_DATABASE_CONNECTIONS or PURVEY_PROCESSES.",
        )
    return ok(f"This server opens {wanted} connections at most, of the {most} that PostgreSQL takes.")


async def clock(patient: Patient) -> Finding:
    """Check that the database's clock, by which everything is decided, is right, as far as this machine knows."""
    before = time.time()
    theirs = (await store.instant(patient.server)).timestamp()
    after = time.time()
    ahead = theirs - (before + after) / 2
    if abs(ahead) <= max(CLOCKS_APART, after - before):
        return ok("The database's clock and this machine's agree.")
    says = f"The database's clock is {span(abs(ahead))} {'ahead of' if ahead > 0 else 'behind'} this machine's."
    remedy = "Have both set by NTP: webhooks are signed with the database's time, and receivers refuse what seems old."
    return problem(says, remedy) if abs(ahead) > CLOCKS_FAR_APART else warning(says, remedy)


async def secret_key(patient: Patient) -> Finding:
    """Check that the secret key opens what is in the database."""
    given = patient.settings
    if given.secret_keys or given.database_url or (given.data_dir / installation.SECRET_FILE).is_file():
        try:
            keys = installation.keyring(given)
        except installation.SecretKeyError as error:
            return problem("There is no secret key that could be used.", str(error))
        if await installation.opens(patient.shop, keys):
            return ok("The secret key opens what is in the database.")
        return problem(
            "The secret key is not the one that this database's secrets were sealed with.",
            "Put the old key back; to change it, give both, the new one first: PURVEY_SECRET_KEY=new,old.",
        )
    if patient.schema and await installation.has_secrets(patient.shop):
        return problem(
            f"The secret key is gone: {given.data_dir / installation.SECRET_FILE} is not there, and the database needs it.",
            "Put it back from your copy; without it, sealed secrets are lost.",
        )
    return ok("There is no secret key yet: the first `purvey serve` makes one.")
