"""Whether a browser that asks was sent here by its user, or by a page of somebody else's.

A foreign page may let a name of its own resolve to our address (DNS rebinding), and its script then reads what we
answer: to the browser it is the same site. But the name stands in the header Host. So a name must be one that the
admin knows. An address cannot be rebound.
"""

import ipaddress
import re
from collections.abc import Collection

_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?", re.IGNORECASE)


def is_ours(said: str | None, own_address: str, names: Collection[str]) -> bool:
    """Whether ``said``, a header Host, names us: loopback, the address that was reached, or one of ``names``.

    No browser leaves it out; a scraper of HTTP/1.0 may.
    """
    if said is None:
        return True
    match = _HOST.fullmatch(said)
    if match is None:
        return False
    name = match["name"].strip("[]").lower().removesuffix(".")
    if name == "localhost" or name in {one.lower() for one in names}:
        return True
    try:
        address = _address(name)
    except ValueError:
        return False
    return address.is_loopback or address == _address(own_address)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """A client of IPv4 on a socket of IPv6 reached ``::ffff:192.0.2.1``."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
