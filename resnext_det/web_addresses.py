"""Addresses of files on servers, and what of them may be shown. Engine-neutral."""

import base64
from urllib.parse import quote, unquote, urlsplit, urlunsplit

_KEPT = "%/:=&?~#+!$,;'@()*[]"  # what an address may hold; all else is written as %XX


def is_web_address(text: str) -> bool:
    """Tells an http or https address from a path or a name."""
    return text.lower().startswith(("http://", "https://"))


def shown_address(address: str) -> str:
    """Returns an address without what may be secret: the user, the password, the query."""
    parts = urlsplit(address)
    query = "…" if parts.query else ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, ""))


def split_credentials(address: str) -> tuple[str, str]:
    """Takes USER:PASSWORD@ out of an address.

    Returns:
        The address as it is asked for, and the value of the header "Authorization", or "".
        Source: RFC 7617.
    """
    parts = urlsplit(quote(address, safe=_KEPT))
    said, _, host = parts.netloc.rpartition("@")
    plain = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
    if not said:
        return plain, ""
    return plain, f"Basic {base64.b64encode(unquote(said).encode()).decode()}"
