"""The sandbox's own page about a payment: what people do in a real provider's dashboard, and what banks do by themselves.

Whoever has the payment's reference, which only its seller is told, may try it here: we hear of it by the sandbox's notices alone.
"""

from typing import Annotated, Any

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath

from purvey.server.errors import FieldError, ProblemError, ValidationError
from purvey.server.kit.web import Body, Given, decode, json_bytes, limits
from purvey.server.payments.model import DisputeStatus
from purvey.server.payments.sandbox.model import Booked
from purvey.server.payments.sandbox.provider import Sandbox
from purvey.server.storefront import pages, views
from purvey.server.storefront.answers import moved, page
from purvey.server.storefront.shop import Browser, Shop

NEXT: dict[DisputeStatus | None, tuple[views.Step, ...]] = {
    None: (views.Step("needs_response", "Dispute it"),),
    "needs_response": (
        views.Step("under_review", "Send the seller's evidence"),
        views.Step("won", "Decide for the seller"),
        views.Step("lost", "Decide for the buyer"),
    ),
    "under_review": (views.Step("won", "Decide for the seller"), views.Step("lost", "Decide for the buyer")),
    "won": (),
    "lost": (),
}
"""What a bank may do next, by how the dispute stands."""


class RefundBody(Body):
    """How much, in minor units; all that is left if it is not said."""

    amount: Annotated[int, msgspec.Meta(ge=1)] | None = None


class DisputeBody(Body):
    """What becomes of the payment's dispute."""

    status: DisputeStatus


@get("/sandbox/payments/{reference:str}", include_in_schema=False)
async def payment(reference: FromPath[str], sandbox: Given[Sandbox], shop: Given[Shop]) -> Response[str]:
    """Show a payment with its refunds and its dispute."""
    return page(pages.sandbox_payment(_view(await sandbox.booked(reference), shop)))


@post(
    "/sandbox/payments/{reference:str}/refund",
    status_code=200,
    include_in_schema=False,
    guards=[limits.by_address],
)
async def refund(request: Browser, reference: FromPath[str], sandbox: Given[Sandbox], shop: Given[Shop]) -> Any:
    """Refund a payment as in a provider's dashboard: a form leads back to the page, JSON is answered with JSON."""
    booked = await sandbox.booked(reference)
    form = await _form(request)
    if form is None:
        body = await request.body()
        await sandbox.refund_by_hand(reference, decode(body, RefundBody).amount if body else None)
        return json_bytes(msgspec.json.encode(await sandbox.booked(reference)))
    typed = form.get("amount", "").strip()
    try:
        await sandbox.refund_by_hand(reference, _amount(typed))
    except ProblemError as error:
        return page(pages.sandbox_payment(_view(booked, shop, typed, error.detail)), error.status)
    return moved(f"/sandbox/payments/{reference}")


@post(
    "/sandbox/payments/{reference:str}/dispute",
    status_code=200,
    include_in_schema=False,
    guards=[limits.by_address],
)
async def dispute(request: Browser, reference: FromPath[str], sandbox: Given[Sandbox]) -> Any:
    """Play the bank: open the payment's dispute, move it on, decide it. What was decided stays."""
    await sandbox.booked(reference)
    form = await _form(request)
    asked = decode(await request.body() if form is None else msgspec.json.encode(form), DisputeBody)
    await sandbox.dispute(reference, asked.status)
    if form is None:
        return json_bytes(msgspec.json.encode(await sandbox.booked(reference)))
    return moved(f"/sandbox/payments/{reference}")


async def _form(request: Browser) -> dict[str, str] | None:
    """Return the fields of a form; None for JSON, which curl sends as a form, too: no form begins like that."""
    kind, body = request.content_type[0], await request.body()
    if kind != "application/x-www-form-urlencoded" or body.lstrip().startswith(b"{"):
        return None
    return {name: str(value) for name, value in (await request.form()).items()}


def _amount(typed: str) -> int | None:
    if not typed:
        return None
    if not (typed.isascii() and typed.isdecimal() and len(typed) < 16 and int(typed)):
        message = "Give a whole number of minor units, such as 500 for $5.00, or nothing for all that is left."
        raise ValidationError(message, errors=[FieldError(loc=["amount"], msg=message, type="number")])
    return int(typed)


def _view(booked: Booked, shop: Shop, typed: str = "", error: str | None = None) -> views.SandboxPaymentView:
    paid = booked.payment
    return views.SandboxPaymentView(
        test_mode=shop.test_mode,
        reference=paid.reference,
        amount=paid.amount,
        left=booked.left,
        currency=paid.currency,
        refunds=tuple(views.SandboxRefund(one.reference, one.amount, one.refunded_at) for one in booked.refunds),
        dispute_status=booked.dispute_status,
        steps=NEXT[booked.dispute_status],
        typed=typed,
        error=error,
    )


routes = [payment, refund, dispute]
