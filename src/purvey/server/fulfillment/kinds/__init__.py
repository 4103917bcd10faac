"""The kinds of goods, one module or folder each. A new kind is a module and a line here."""

from collections.abc import Mapping

from purvey.server.fulfillment.kinds import dynamic, generated, static, webhook
from purvey.server.fulfillment.kinds.kind import Kind

KINDS: Mapping[str, Kind] = {
    kind.content_type: kind for kind in (static.KIND, generated.KIND, webhook.KIND, dynamic.KIND)
}
"""Content type -> kind."""
