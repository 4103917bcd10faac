"""All checks, in the order in which they are told, and how they are made."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from purvey.server.doctor import database, files, machine, money, reach, shop
from purvey.server.doctor.model import Checked, Finding, problem
from purvey.server.doctor.patient import Missing, Patient, admitted
from purvey.server.settings import Settings, SettingsError

Check = Callable[[Patient], Awaitable[Finding | None]]

CHECK_WITHIN = 15.0
"""Seconds that one check may take."""

CHECKS: Sequence[Check] = (
    machine.python,
    machine.settings,
    machine.data_directory,
    machine.secret_file,
    machine.port,
    machine.open_files,
    machine.names,
    files.file_storage,
    reach.base_url,
    reach.sandbox,
    money.stripe,
    reach.private_urls,
    reach.mail,
    database.database,
    database.postgresql,
    database.schema,
    database.privileges,
    database.durability,
    database.autovacuum,
    database.connections,
    database.clock,
    database.secret_key,
    shop.queue,
    shop.receivers,
    shop.orders,
    shop.endpoints,
    money.notices,
)
"""Each looks at one thing. It returns None when that is not there, and raises Missing when another check has told why."""


async def examine(asked: Settings | SettingsError) -> list[Checked]:
    """Make all checks that can be made, and return what they found. It never raises: what fails is a finding."""
    async with admitted(asked) as patient:
        found = await asyncio.gather(*(_made(check, patient) for check in CHECKS))
    return [checked for checked in found if checked]


async def _made(check: Check, patient: Patient) -> Checked | None:
    name = check.__name__.replace("_", " ")
    try:
        async with asyncio.timeout(CHECK_WITHIN):
            finding = await check(patient)
    except Missing:
        return None
    except TimeoutError:
        finding = problem(f"This could not be found out within {CHECK_WITHIN:.0f} seconds.", "Ask again.")
    except PermissionError as error:
        finding = problem(f"{error.filename} may not be read.", "Run the doctor as the user whom the server runs as.")
    except Exception as error:  # noqa: BLE001  # whatever it is, the other checks go on
        finding = problem(
            f"This could not be found out: {type(error).__name__}: {error}".rstrip(": .") + ".", "Ask again."
        )
    return Checked(name, finding.level, finding.says, finding.remedy) if finding else None
