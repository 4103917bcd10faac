"""An agent: a program that hears of orders and delivers what was bought.

    from purvey.agent import Agent, Text

    agent = Agent(secret="whsec_...", state="agent.json")

    @agent.on("order.paid")
    def horoscope(event):
        return Text(f"Born on {event.data.checkout_data['birth_date']}: say yes to the odd offer.")

    @agent.dynamic("/dynamic", secret="...")
    def licence(order):
        return {"service_text": "Your licence:", "dynamic_response": {"key": new_licence(order.buyer_email)}}

Serve `agent.app` with any ASGI server (`uvicorn shop:agent.app`), or call `agent.poll()`, which needs no address of your own.
"""

from purvey.agent.agent import Agent
from purvey.agent.goods import File, Text, Url
from purvey.callbacks import DynamicOrder

__all__ = ["Agent", "DynamicOrder", "File", "Text", "Url"]
