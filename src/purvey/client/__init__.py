"""The client of a Purvey server, for sellers' programs.

from purvey import Purvey

client = Purvey()
for event in client.events.list(type="order.paid").auto_paging_iter():
    print(event.id, event.order_id)
"""

from purvey.client.clients import AsyncPurvey, Purvey
from purvey.client.methods import AsyncPage, Page

__all__ = ["AsyncPage", "AsyncPurvey", "Page", "Purvey"]
