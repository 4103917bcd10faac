"""What the server answers, field by field; docs at /docs of the server say what each means. Instants are RFC 3339 in UTC."""

from typing import Any

from purvey.client.shapes import Shape


class Ping(Shape):
    """The server is there."""

    object: str
    status: str


class Account(Shape):
    """A seller."""

    object: str
    id: str
    email: str
    name: str
    currency: str
    created_at: str
    readiness: "AccountReadiness"


class File(Shape):
    """An upload. Its `id` is the `token` of a deliverable of type file."""

    object: str
    id: str
    filename: str
    size: int
    content_type: str
    sha256: str
    created_at: str
    expires_at: str | None


class Deliverable(Shape):
    """Something that the buyer gets: a file, a URL or a text."""

    id: str
    type: str
    value: str | None
    token: str | None
    format: str | None
    key_pool: bool
    object: str


class CheckoutField(Shape):
    """A question of the checkout."""

    key: str
    type: str
    label: str
    required: bool
    options: list[str] | None
    max_length: int | None
    sort_order: int


class Resolve(Shape):
    """The request that does what is missing."""

    method: str
    endpoint: str | None
    url: str | None
    params: dict[str, Any] | None


class Action(Shape):
    """What is missing on an order, and how to mend it."""

    code: str
    kind: str
    priority: str
    message: str
    resolve: dict[str, Any]


class ListingAction(Shape):
    """What is missing before a listing can be sold, and how to mend it."""

    code: str
    kind: str
    priority: str
    message: str
    resolve: Resolve


class ListingReadiness(Shape):
    """Whether a listing can be sold."""

    sellable: bool
    actions: list[ListingAction]
    next: ListingAction | None


class Stats(Shape):
    """How often a listing was sold, and for how much, in minor units."""

    orders: int
    revenue: int


class Listing(Shape):
    """Something for sale. The answer that makes it, and that of a rotation, alone have its secrets."""

    id: str
    object: str
    account_id: str
    status: str
    slug: str
    url: str
    name: str
    price: int
    currency: str
    content_type: str
    fulfillment: str
    deliverables: list[Deliverable]
    checkout_schema: list[CheckoutField]
    agent_callback_url: str | None
    callback_endpoint_id: str | None
    signing_secret: str
    signing_secret_preview: str
    dynamic_webhook: str | None
    dynamic_webhook_secret: str
    dynamic_webhook_secret_preview: str | None
    on_callback_failure: str
    grant_hours: int
    grant_downloads: int
    fulfill_within: int | None
    on_late: str
    late_text: str | None
    description: str | None
    tagline: str | None
    image_url: str | None
    highlights: list[str]
    cta: str | None
    badges: list[str]
    faqs: list[dict[str, Any]]
    reviews: list[dict[str, Any]]
    rating: float | None
    rating_count: int | None
    compare_at_price: int | None
    stock: int | None
    metadata: dict[str, str]
    readiness: ListingReadiness
    stats: Stats
    created_at: str
    updated_at: str
    published_at: str | None


class KeyPool(Shape):
    """How many licence keys a listing has: `available` can be sold, `held` belong to checkouts that are open."""

    object: str
    listing_id: str
    total: int
    available: int
    held: int
    sold: int


class Uploaded(KeyPool):
    """A listing's pool after keys were added, and how many of them were new."""

    added: int
    duplicates: int


class Checkout(Shape):
    """A buyer's attempt to pay."""

    id: str
    object: str
    status: str
    listing_id: str
    url: str
    amount: int
    currency: str
    order_id: str | None
    access_url: str | None
    expires_at: str
    created_at: str


class Payment(Shape):
    """What a provider confirmed."""

    provider: str
    reference: str


class AccountReadiness(Shape):
    """Whether an account can take payments, in test mode or for money, and what to do about it."""

    can_take_payments: bool
    provider: str
    mode: str | None
    actions: list[Action]
    next: Action | None


class Opened(Shape):
    """The content of an order was looked at or opened."""

    at: str
    what: str
    deliverable_id: str | None
    address: str | None
    agent: str | None


class Mailed(Shape):
    """A mail about an order."""

    template: str
    subject: str
    recipient: str
    status: str
    created_at: str
    sent_at: str | None


class Happened(Shape):
    """A change of an order."""

    at: str
    action: str
    actor: str


class Evidence(Shape):
    """What proves that an order was delivered, in the words of Stripe's evidence fields."""

    object: str
    order_id: str
    product_description: str
    customer_email_address: str
    customer_purchase_ip: str | None
    checkout_data: dict[str, Any]
    amount: int
    currency: str
    payment_provider: str
    payment_reference: str
    dispute_status: str | None
    dispute_reason: str | None
    dispute_due_at: str | None
    service_date: str | None
    refund_policy_disclosure: str
    delivery: list[Happened]
    mails: list[Mailed]
    access: list[Opened]
    access_activity_log: str
    submission: dict[str, str]


class OrderReadiness(Shape):
    """Whether an order is fulfilled."""

    fulfilled: bool
    actions: list[Action]
    next: Action | None


class Order(Shape):
    """A paid purchase. In an event it is the order at that moment, without what belongs to its buyer alone."""

    object: str
    id: str
    order_id: str
    account_id: str
    listing_id: str
    status: str
    content_type: str
    fulfillment: str
    payment_status: str
    delivery_status: str | None
    dispute_status: str | None
    buyer_email: str
    quantity: int
    amount: int
    currency: str
    checkout_data: dict[str, Any]
    deliverables: list[Deliverable]
    metadata: dict[str, str]
    listing: dict[str, Any]
    payment: Payment
    refund_amount: int
    refund_pending: int
    dispute_reason: str | None
    dispute_due_at: str | None
    fulfill_due_at: str | None
    late_at: str | None
    held_at: str | None
    paid_at: str
    fulfilled_at: str | None
    handed_off_at: str | None
    refunded_at: str | None
    disputed_at: str | None
    created_at: str
    delivered_items: Any
    access_url: str | None
    readiness: OrderReadiness


class HistoryEntry(Shape):
    """One change of an order."""

    version: int
    action: str
    from_status: str | None
    to_status: str
    actor: str
    changed_at: str
    detail: dict[str, Any] | None


class Callback(Shape):
    """The call that a dynamic order makes to its seller's server; `body` is what is sent in each of the `attempts`."""

    id: str
    object: str
    order_id: str
    listing_id: str
    status: str
    body: dict[str, Any]
    attempts: list[dict[str, Any]]
    created_at: str
    finished_at: str | None


class Refund(Shape):
    """Money given back, or on its way."""

    id: str
    object: str
    order_id: str
    amount: int
    currency: str
    reason: str | None
    origin: str
    status: str
    payment_reference: str
    provider: str
    error: str | None
    created_at: str
    ended_at: str | None


class RedeliveryAck(Shape):
    """How many webhooks an order's redelivery has scheduled."""

    object: str
    order_id: str
    scheduled_attempts: int


class Event(Shape):
    """A fact about an order. `data` is the order at that moment; `sequence` has no gaps within the account."""

    object: str
    id: str
    type: str
    sequence: int
    account_id: str
    listing_id: str | None
    order_id: str | None
    created_at: str
    data: Order
