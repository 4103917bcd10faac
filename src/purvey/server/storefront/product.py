"""From a listing to its page."""

from collections.abc import Mapping

import msgspec

from purvey.server.kit.text import LONGEST_EMAIL
from purvey.server.listings.model import CheckoutField, Product, Status
from purvey.server.storefront import forms, views
from purvey.server.storefront.shop import Shop
from purvey.server.storefront.wording import MISSING, terms


def product_view(
    product: Product, shop: Shop, posted: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None
) -> views.ProductView:
    """Return the page of a listing, with what the buyer `posted` and what was wrong with it, by the inputs' names."""
    page = product.page
    fields = [_email(), *(_field(field) for field in product.checkout_schema)]
    return views.ProductView(
        test_mode=shop.test_mode,
        availability=_availability(product),
        action=f"/l/{product.listing_id}/checkout",
        name=product.name,
        amount=product.price,
        currency=product.currency,
        seller_name=product.seller_name,
        tagline=page.tagline,
        description=page.description,
        image_url=page.image_url,
        highlights=tuple(page.highlights),
        badges=tuple(page.badges),
        faqs=tuple(views.Faq(faq.question, faq.answer) for faq in page.faqs),
        reviews=tuple(views.Review(review.name, review.content, review.rating) for review in page.reviews),
        rating=page.rating,
        rating_count=page.rating_count,
        compare_at=page.compare_at_price,
        cta=page.cta,
        terms=terms(product.content_type, product.grant_after, product.grant_downloads),
        fields=tuple(_filled(field, posted or {}, errors or {}) for field in fields),
    )


def _availability(product: Product) -> views.Availability:
    if product.status is not Status.PUBLISHED:
        return "not_for_sale"
    return "sold_out" if product.left == 0 else "for_sale"


def _email() -> views.Field:
    return views.Field(name=forms.BUYER_EMAIL, type="email", label="Your e-mail address", max_length=LONGEST_EMAIL)


def _field(field: CheckoutField) -> views.Field:
    return views.Field(
        name=forms.field_name(field.key),
        type=field.type,
        label=field.label,
        required=field.required,
        options=tuple(field.options or ()),
        max_length=field.max_length,
    )


def _filled(field: views.Field, posted: Mapping[str, str], errors: Mapping[str, str]) -> views.Field:
    value, fault = posted.get(field.name, ""), errors.get(field.name)
    return msgspec.structs.replace(field, value=value, error=fault and _advice(field, value, fault))


def _advice(field: views.Field, value: str, fault: str) -> str:
    """Return a fault as a sentence to whoever gave the answer."""
    return f"{fault[:1].upper()}{fault[1:].removesuffix('.')}." if value.strip() else MISSING[field.type]
