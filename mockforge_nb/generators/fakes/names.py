"""What the name of a property says of its values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

NUMBERS: Final[Mapping[str, tuple[float, float]]] = {
    "age": (18, 90), "amount": (1, 1000), "balance": (0, 10000), "cost": (1, 1000), "count": (0, 100),
    "day": (1, 28), "height": (1, 250), "hour": (0, 23), "humidity": (0, 100), "id": (1, 1_000_000), "lat": (-90, 90),
    "latitude": (-90, 90), "lng": (-180, 180), "lon": (-180, 180), "longitude": (-180, 180), "minute": (0, 59),
    "month": (1, 12), "percent": (0, 100), "percentage": (0, 100), "port": (1024, 65535), "price": (1, 1000),
    "probability": (0, 1), "qty": (1, 100), "quantity": (1, 100), "rating": (1, 5), "score": (0, 100),
    "second": (0, 59), "size": (1, 1000), "temperature": (-20, 40), "timestamp": (1_577_836_800, 1_893_456_000),
    "total": (1, 1000), "weight": (1, 150), "year": (1970, 2030),
}  # fmt: skip
"""Ranges of numbers by the names of their properties."""

TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "address": ("address", "addr"),
    "city": ("city", "town"),
    "color_name": ("color", "colour"),
    "company": ("company", "company_name", "organization", "organisation", "employer"),
    "country": ("country",),
    "country_code": ("country_code",),
    "currency_code": ("currency", "currency_code"),
    "domain_name": ("domain",),
    "ean13": ("ean", "barcode"),
    "ascii_email": ("email", "mail", "e_mail", "email_address"),
    "file_name": ("file", "filename", "file_name"),
    "file_path": ("path", "file_path"),
    "first_name": ("first_name", "given_name", "forename"),
    "hostname": ("host", "hostname"),
    "iban": ("iban",),
    "image_url": ("image", "avatar", "photo", "picture", "image_url"),
    "ipv4": ("ip", "ip_address", "ipv4"),
    "ipv6": ("ipv6",),
    "isbn13": ("isbn",),
    "job": ("job", "job_title", "occupation", "profession"),
    "language_code": ("language", "lang", "language_code"),
    "last_name": ("last_name", "surname", "family_name"),
    "license_plate": ("license_plate", "plate"),
    "locale": ("locale",),
    "mac_address": ("mac", "mac_address"),
    "mime_type": ("mime_type", "content_type", "media_type", "contenttype", "datacontenttype", "mimetype"),
    "name": (
        "name",
        "full_name",
        "author",
        "customer",
        "owner",
        "display_name",
        "real_name",
        "person_name",
        "customer_name",
        "client_name",
        "contact_name",
        "author_name",
        "owner_name",
        "employee_name",
        "manager_name",
        "member_name",
        "patient_name",
        "student_name",
        "guest_name",
        "buyer_name",
        "seller_name",
        "sender_name",
        "recipient_name",
        "cardholder_name",
        "billing_name",
        "shipping_name",
    ),
    "paragraph": ("body", "content", "bio", "about", "paragraph"),
    "phone_number": ("phone", "phone_number", "mobile", "telephone", "fax"),
    "postcode": ("zip", "zipcode", "zip_code", "postcode", "postal_code"),
    "sentence": ("description", "text", "message", "comment", "note", "summary", "title", "subject", "headline"),
    "sha1": ("token", "hash", "secret", "checksum"),
    "slug": ("slug",),
    "state": ("state", "province"),
    "street_address": ("street_address",),
    "street_name": ("street",),
    "timezone": ("timezone", "time_zone", "tz"),
    "url": ("url", "uri", "website", "link", "homepage"),
    "user_agent": ("user_agent",),
    "user_name": ("user_name", "username", "user", "login", "nickname", "nick"),
    "@date": ("date", "birthday", "birthdate", "date_of_birth", "dob"),
    "@date-time": ("datetime", "date_time", "timestamp", "created", "updated", "created_at", "updated_at"),
    "@time": ("time",),
    "@uuid": ("id", "uuid", "guid"),
}
"""Providers of Faker, or ``@`` and a format, and the names of the properties that they are realistic for."""

PROVIDERS: Final[Mapping[str, str]] = {name: provider for provider, names in TEXTS.items() for name in names}
"""Providers by the names of the properties."""
_WHOLE: Final = frozenset({"name"})
"""Names that say something only by themselves: a ``productName`` is no person's."""


def by_name(name: str, table: Mapping[str, Any]) -> Any:
    """Return what a table says of a property's name, or of its last words; None: nothing."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+", "_", name).strip("_").lower().split("_")
    ends = ["_".join(words[i:]) for i in range(len(words))]
    return next((table[end] for i, end in enumerate(ends) if end in table and not (i and end in _WHOLE)), None)
