"""A seller's agent: it hears of a paid order, makes a horoscope from the buyer's answers, and delivers it. It issues passes, too.

Run as `python -m purvey.server.demo.agent`, with PORT, API_URL, API_KEY, WEBHOOK_SECRET and DYNAMIC_SECRET in the environment. It
shares no code with the server, only the client's.
"""

import asyncio
import os
import secrets
import sys
from typing import Any

from granian.constants import Interfaces
from granian.server.embed import Server

from purvey.agent import Agent, DynamicOrder, Text
from purvey.client.objects import Event

agent = Agent(
    os.environ.get("API_KEY", "none"), os.environ.get("API_URL"), secret=os.environ.get("WEBHOOK_SECRET", "none")
)


@agent.on("order.paid")
def horoscope(event: Event) -> Text:
    """Make what was ordered."""
    answers = event.data.checkout_data
    return Text(generate_horoscope(answers["birth_date"], answers.get("zodiac_focus", "General")))


@agent.dynamic("/pass", secret=os.environ.get("DYNAMIC_SECRET", "none"))
def admit(order: DynamicOrder) -> dict[str, Any]:
    """Issue a pass while the buyer waits. It is asked for once: whoever calls again for the order is given the same one."""
    issued = f"PASS-{secrets.token_hex(4).upper()}"
    return {
        "service_text": f"The dome opens at dusk. Show {issued} at the gate.",
        "dynamic_response": {"pass": issued, "telescope": order.checkout_data["telescope"]},
    }


SIGNS = (
    ((1, 20), "Capricorn"),
    ((2, 19), "Aquarius"),
    ((3, 21), "Pisces"),
    ((4, 20), "Aries"),
    ((5, 21), "Taurus"),
    ((6, 21), "Gemini"),
    ((7, 23), "Cancer"),
    ((8, 23), "Leo"),
    ((9, 23), "Virgo"),
    ((10, 23), "Libra"),
    ((11, 22), "Scorpio"),
    ((12, 22), "Sagittarius"),
    ((12, 32), "Capricorn"),
)
"""(month, day) before which a birthday falls, and its sign."""

ADVICE = ("finish what is begun", "ask the question you have put off", "let one thing rest", "say yes to the odd offer")


def generate_horoscope(birth_date: str, focus: str) -> str:
    """Return the reading: the same birthday and focus always read the same."""
    year, month, day = (int(part) for part in birth_date.split("-"))
    sign = next(name for before, name in SIGNS if (month, day) < before)
    advice = ADVICE[(year + month + day + len(focus)) % len(ADVICE)]
    return f"{sign}, born {birth_date}.\n\nYour {focus.lower()} this month: {advice}. What you prepare now shows by autumn."


async def main() -> None:
    """Answer until killed."""
    server = Server(agent.app, "127.0.0.1", int(os.environ["PORT"]), interface=Interfaces.ASGI, log_enabled=False)
    await server.serve()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
