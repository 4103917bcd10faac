"""What sellers do with listings, and what buyers see of them. Each function that writes is one transaction."""

from collections.abc import Callable, Sequence

import msgspec
from msgspec import UNSET

from purvey.server.accounts import actions as accounts
from purvey.server.accounts.model import Account
from purvey.server.deliverables import actions as deliverables
from purvey.server.deliverables.model import Content, Deliverable, NewDeliverable
from purvey.server.deliverables.rules import MOST, DeliverableIn, check
from purvey.server.errors import Conflict, PublishFailed, sold_out, unknown
from purvey.server.files import actions as files
from purvey.server.files.model import Wanted
from purvey.server.files.rules import wanted
from purvey.server.kit.database import Connection
from purvey.server.kit.paging import Position, Slice, slice_of
from purvey.server.kit.tools import Tools
from purvey.server.listings import rules, store
from purvey.server.listings.answers import in_form_order
from purvey.server.listings.model import Listing, Product, Sale, Secret, Showcase, Status
from purvey.server.listings.secrets import rotated, with_secrets
from purvey.server.listings.shown import NOTHING_REVEALED, Beside, Revealed, listing_out
from purvey.server.listings.step import Step
from purvey.server.listings.wire import ListingChanges, ListingOut, NewListing, SecretRotation
from purvey.server.orders.wire import DeliverableFacts, DeliverableOut

GRANT_HOURS, GRANT_DOWNLOADS = 48, 10
"""What a buyer's access is worth unless the listing says otherwise (FU-11)."""


async def create(tools: Tools, account: Account, data: NewListing) -> ListingOut:
    """Make a listing, as a draft, and return it with its secrets, which are shown this once."""
    given = _given_content(data)
    step = _changed(tools, _blank(tools, account), data, given)
    step = msgspec.structs.replace(step, listing=msgspec.structs.replace(step.listing, version=1))
    named = wanted(given or ())
    async with files.present(tools, account.id, named), tools.database.transaction() as connection:
        await store.make_deliverables(connection, step.made, tools.clock.now())
        await store.insert(connection, step.listing)
        await _mirror_callback(connection, None, step.listing)
    return await _shown(tools, step.listing, step.revealed)


async def change(tools: Tools, account_id: str, listing_id: str, data: ListingChanges) -> ListingOut:
    """Change the fields that `data` has. Raises NotFound, LockedField, NotInDraft (deliverables), ValidationError."""
    given = _given_content(data)
    named = wanted(given or ())
    return await _run(tools, account_id, listing_id, lambda listing: _changed(tools, listing, data, given), named)


async def read(tools: Tools, account_id: str, listing_id: str) -> ListingOut:
    """Return the account's listing; raise NotFound."""
    listing = await store.by_id(tools.database, account_id, listing_id)
    if listing is None:
        raise unknown("listing", listing_id)
    return await _shown(tools, listing)


async def page(
    tools: Tools, account_id: str, status: Status | None, after: Position | None, limit: int
) -> Slice[ListingOut]:
    """Return a page of the account's listings, the newest first."""
    found = await store.page(tools.database, account_id, status, after, limit + 1)
    cut = slice_of(found, limit, lambda listing: Position(listing.created_at, listing.id))
    return Slice(await _all_shown(tools, account_id, cut.rows), cut.has_more, cut.cursor)


async def delete(tools: Tools, account_id: str, listing_id: str) -> None:
    """Delete a listing that has no orders; raise Conflict if it has, NotFound if there is none."""
    async with tools.database.transaction() as connection:
        listing = await store.locked(connection, account_id, listing_id)
        if listing is None:
            raise unknown("listing", listing_id)
        if not await store.delete(connection, account_id, listing_id):
            raise Conflict(f"Listing {listing_id} has orders, which need it; archive it instead.")
        await _mirror_callback(connection, listing, msgspec.structs.replace(listing, agent_callback_url=None))


async def publish(tools: Tools, account_id: str, listing_id: str) -> ListingOut:
    """Put a listing on sale; one that is on sale stays as it is. Raises PublishFailed with what is missing."""
    keys = await store.keys_left_of(tools.database, account_id, listing_id)

    def step(listing: Listing) -> Step:
        if listing.status is Status.PUBLISHED:
            return Step(listing=listing)
        if missing := rules.blockers(listing, keys=keys):
            raise PublishFailed(f"It cannot be published yet: {missing[0].message}", actions=missing, next=missing[0])
        now = tools.clock.now()
        first = listing.published_at or now
        return Step(
            listing=msgspec.structs.replace(listing, status=Status.PUBLISHED, published_at=first, updated_at=now)
        )

    return await _run(tools, account_id, listing_id, step)


async def unpublish(tools: Tools, account_id: str, listing_id: str) -> ListingOut:
    """Take a listing off sale, back to draft; a draft stays as it is. Raises Conflict for an archived one."""

    def step(listing: Listing) -> Step:
        if listing.status is Status.ARCHIVED:
            message = "An archived listing is off sale already; publish it to bring it back."
            raise Conflict(message, current_status=listing.status, required_status=Status.PUBLISHED)
        return _with_status(tools, listing, Status.DRAFT)

    return await _run(tools, account_id, listing_id, step)


async def archive(tools: Tools, account_id: str, listing_id: str) -> ListingOut:
    """Take a listing off sale for good, until it is published again; its orders go on."""
    return await _run(tools, account_id, listing_id, lambda listing: _with_status(tools, listing, Status.ARCHIVED))


async def set_deliverables(
    tools: Tools, account_id: str, listing_id: str, items: Sequence[DeliverableIn]
) -> ListingOut:
    """Replace the deliverables of a draft (FU-7). Raises NotInDraft, Conflict for a listing that takes none, ValidationError."""
    given = check(items, pools=1)
    return await _run(
        tools, account_id, listing_id, lambda listing: _with_content(tools, listing, given), wanted(given)
    )


async def add_deliverable(tools: Tools, account_id: str, listing_id: str, item: DeliverableIn) -> DeliverableOut:
    """Add one deliverable to a draft; raises as `set_deliverables` does, and Conflict when there are three."""
    content = check([item], at=(), numbered=False, pools=1)

    def step(listing: Listing) -> Step:
        count = len(listing.deliverables)
        _require_content_type(listing)
        if count >= MOST:
            raise Conflict(
                f"There are {count} deliverables, the most there may be.", current_count=count, max_count=MOST
            )
        if item.key_pool and listing.key_pool:
            raise Conflict("There is a key pool already; upload keys to it.", current_count=1, max_count=1)
        return _with_content(tools, listing, content, keep=listing.deliverables)

    shown = await _run(tools, account_id, listing_id, step, wanted(content, (), numbered=False))
    return shown.deliverables[-1]


async def remove_deliverables(
    tools: Tools, account_id: str, listing_id: str, deliverable_id: str | None = None
) -> ListingOut:
    """Remove one deliverable of a draft, or all of them; raise NotInDraft, or NotFound for one that is not the listing's."""

    def step(listing: Listing) -> Step:
        rules.require_draft(listing)
        if deliverable_id is not None and deliverable_id not in listing.deliverables:
            raise unknown("deliverable", deliverable_id)
        left = [one for one in listing.deliverables if deliverable_id not in {None, one}]
        pool = listing.key_pool if listing.key_pool in left else None
        return Step(
            listing=msgspec.structs.replace(listing, deliverables=left, key_pool=pool, updated_at=tools.clock.now())
        )

    return await _run(tools, account_id, listing_id, step)


async def rotate_secret(tools: Tools, account_id: str, listing_id: str, data: SecretRotation) -> ListingOut:
    """Replace a secret by a new one, which is shown this once; the old one still counts for `overlap_seconds`.

    Raises ValidationError when there is no such secret, because `dynamic_webhook` is not set.
    """
    return await _run(tools, account_id, listing_id, lambda listing: rotated(tools, listing, data))


async def for_sale(tools: Tools, listing_id: str) -> Sale:
    """Return what a checkout takes from a listing; raise NotFound unless it is published, Conflict if it is sold out."""
    listing = await store.for_buyers(tools.database, listing_id)
    if listing is None or listing.status is not Status.PUBLISHED:
        raise unknown("listing on sale", listing_id)
    if await _left(tools, listing) == 0:
        raise sold_out(listing.name)
    content = await _content(tools, [listing])
    seller = await accounts.get_account(tools, listing.account_id)
    snapshot = {"id": listing.id, "name": listing.name, "content_type": listing.content_type, "price": listing.price}
    return Sale(
        account_id=listing.account_id,
        listing_id=listing.id,
        name=listing.name,
        price=listing.price,
        currency=listing.currency,
        content_type=listing.content_type,
        checkout_schema=tuple(listing.checkout_schema),
        deliverables=tuple(
            DeliverableFacts(one, content[one].type, content[one].key_pool) for one in listing.deliverables
        ),
        snapshot=msgspec.Raw(msgspec.json.encode({**snapshot, "metadata": listing.metadata})),
        seller=msgspec.Raw(msgspec.json.encode({"id": seller.id, "name": seller.name, "email": seller.email})),
        description=listing.page.description,
        grant_after=listing.grant_after,
        grant_downloads=listing.grant_downloads,
        promise=rules.promise_of(listing),
        limited=listing.stock is not None or listing.key_pool is not None,
    )


async def seller_of(tools: Tools, listing_id: str) -> str:
    """Return the account that a listing belongs to, whether it is on sale or not; raise NotFound."""
    listing = await store.for_buyers(tools.database, listing_id)
    if listing is None:
        raise unknown("listing on sale", listing_id)
    return listing.account_id


async def on_page(tools: Tools, listing_id: str) -> Product:
    """Return what the product page shows, of a listing in any status; raise NotFound."""
    listing = await store.for_buyers(tools.database, listing_id)
    if listing is None:
        raise unknown("listing", listing_id)
    seller = await accounts.get_account(tools, listing.account_id)
    return Product(
        listing_id=listing.id,
        slug=listing.slug,
        status=listing.status,
        name=listing.name,
        price=listing.price,
        currency=listing.currency,
        seller_name=seller.name,
        content_type=listing.content_type,
        grant_after=listing.grant_after,
        grant_downloads=listing.grant_downloads,
        checkout_schema=in_form_order(listing.checkout_schema),
        page=listing.page,
        left=await _left(tools, listing),
    )


async def _left(tools: Tools, listing: Listing) -> int | None:
    keys = await store.keys_left(tools.database, listing.account_id, [listing], 1)
    return rules.left(listing, keys.get(listing.id))


def _blank(tools: Tools, account: Account) -> Listing:
    now = tools.clock.now()
    return Listing(
        id=tools.ids.new("lst_"),
        account_id=account.id,
        version=0,
        status=Status.DRAFT,
        slug="",
        name="",
        price=0,
        currency=account.currency,
        content_type="static",
        checkout_schema=(),
        deliverables=(),
        key_pool=None,
        page=Showcase(),
        metadata={},
        agent_callback_url=None,
        callback_endpoint_id=None,
        signing=Secret(b"", ""),
        dynamic_webhook=None,
        dynamic=None,
        on_callback_failure="pending",
        grant_after=GRANT_HOURS,
        grant_downloads=GRANT_DOWNLOADS,
        fulfill_within=None,
        on_late="remind",
        late_text=None,
        stock=None,
        created_at=now,
        updated_at=now,
        published_at=None,
    )


def _given_content(data: ListingChanges) -> tuple[Content, ...] | None:
    return None if data.deliverables is UNSET else check(data.deliverables, pools=1)


def _changed(tools: Tools, listing: Listing, data: ListingChanges, given: Sequence[Content] | None) -> Step:
    if given is not None and listing.version:
        rules.require_draft(listing)
    emptied = listing if given is None else msgspec.structs.replace(listing, deliverables=(), key_pool=None)
    changed = rules.apply(emptied, data, tools.clock.now(), private_urls=tools.private_urls)
    step = with_secrets(tools, changed, data)
    if changed.agent_callback_url and changed.callback_endpoint_id is None:
        called = msgspec.structs.replace(step.listing, callback_endpoint_id=tools.ids.new("whk_"))
        step = msgspec.structs.replace(step, listing=called)
    if not given:
        return step
    filled = _with_content(tools, step.listing, given)
    return msgspec.structs.replace(step, listing=filled.listing, made=filled.made)


def _with_status(tools: Tools, listing: Listing, status: Status) -> Step:
    if listing.status is status:
        return Step(listing=listing)
    return Step(listing=msgspec.structs.replace(listing, status=status, updated_at=tools.clock.now()))


def _with_content(tools: Tools, listing: Listing, content: Sequence[Content], keep: Sequence[str] = ()) -> Step:
    if content:
        _require_content_type(listing)
    rules.require_draft(listing)
    made = [
        NewDeliverable(listing.account_id, tools.ids.new("del_"), None, one.type, one.value, one.token, one.format)
        for one in content
    ]
    ids = [*keep, *(one.id for one in made)]
    pool = next(
        (one.id for one, of in zip(made, content, strict=True) if of.key_pool), listing.key_pool if keep else None
    )
    changed = msgspec.structs.replace(listing, deliverables=ids, key_pool=pool, updated_at=tools.clock.now())
    return Step(listing=changed, made=made)


def _require_content_type(listing: Listing) -> None:
    if listing.content_type != "static":
        message = f"A {listing.content_type} listing takes no deliverables: its content comes with each order."
        raise Conflict(message, param="deliverables", current_count=0, max_count=0)


async def _run(
    tools: Tools, account_id: str, listing_id: str, make: Callable[[Listing], Step], named: Sequence[Wanted] = ()
) -> ListingOut:
    """Lock the listing, write what `make` makes of it, and return it; a step that changes nothing writes nothing.

    `named` are the files that it will hold.
    """
    async with files.present(tools, account_id, named), tools.database.transaction() as connection:
        before = await store.locked(connection, account_id, listing_id)
        if before is None:
            raise unknown("listing", listing_id)
        step = make(before)
        listing = step.listing
        if listing != before:
            listing = msgspec.structs.replace(listing, version=before.version + 1)
            await store.make_deliverables(connection, step.made, tools.clock.now())
            await store.update(connection, listing, before.version)
            await _mirror_callback(connection, before, listing)
    return await _shown(tools, listing, step.revealed)


async def _mirror_callback(connection: Connection, before: Listing | None, after: Listing) -> None:
    """Let the webhooks room know, in the same transaction, if where the callback goes or what signs it has changed."""
    was = (
        (before.agent_callback_url, before.signing) if before and before.callback_endpoint_id else (None, after.signing)
    )
    if after.callback_endpoint_id and (after.agent_callback_url, after.signing) != was:
        await store.set_callback(connection, after, after.updated_at)


async def _shown(tools: Tools, listing: Listing, revealed: Revealed = NOTHING_REVEALED) -> ListingOut:
    [shown] = await _all_shown(tools, listing.account_id, [listing], revealed)
    return shown


async def _all_shown(
    tools: Tools, account_id: str, listings: Sequence[Listing], revealed: Revealed = NOTHING_REVEALED
) -> list[ListingOut]:
    content = await _content(tools, listings)
    stats = await store.stats(tools.database, account_id, listings) if listings else {}
    keys = await store.keys_left(tools.database, account_id, listings, rules.FEW_KEYS)
    return [
        listing_out(
            listing,
            [_out(content[one]) for one in listing.deliverables],
            Beside(stats[listing.id], keys.get(listing.id)),
            tools.base_url,
            revealed,
        )
        for listing in listings
    ]


async def _content(tools: Tools, listings: Sequence[Listing]) -> dict[str, Deliverable]:
    keys = [(listing.account_id, one) for listing in listings for one in listing.deliverables]
    return await deliverables.load(tools, keys) if keys else {}


def _out(one: Deliverable) -> DeliverableOut:
    return DeliverableOut(one.id, one.type, one.value, one.token, one.format, one.key_pool or UNSET)
