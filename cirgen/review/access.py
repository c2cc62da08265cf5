"""Who may ask the review page: those with the link, from the page itself, under an address that is this machine's.

- The link holds a token of 256 bits, new with every start. The first page sets it as a cookie that scripts cannot read
  and other sites cannot send, so the address bar loses it. Other users of this machine do not know it.
- The `Host` of a request must be what the server listens on, or an address in figures: a name that somebody else's DNS
  points here (rebinding) is turned away before anything is looked at.
- What writes must come from the page: `Origin`, where the browser names one, is this server.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

LOOPBACK_NAME = "localhost"
TOKEN_BYTES = 32


def is_loopback(host: str) -> bool:
    """Return whether nobody but this machine can reach a server that listens on a host."""
    address = _address(host)
    return host == LOOPBACK_NAME if address is None else address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


class Access:
    """The gate of one server.

    Args:
        host: that it listens on.
        port: that it listens on.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._token = secrets.token_urlsafe(TOKEN_BYTES)
        self._cookie = f"cirgen_review_{port}"  # cookies know no ports, and two reviews may run

    @property
    def link(self) -> str:
        """Return the address to open; a server on every address is reached under the loopback one."""
        address = _address(self._host)
        everywhere = address is not None and address.is_unspecified
        host = ("127.0.0.1" if address and address.version == 4 else "::1") if everywhere else self._host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._port}/?token={self._token}"

    @property
    def set_cookie(self) -> str:
        """Return the header that lets a browser in from now on."""
        return f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"

    def is_token(self, token: str) -> bool:
        """Return whether a token is this server's."""
        return hmac.compare_digest(token.encode(errors="replace"), self._token.encode())

    def knows(self, cookies: str) -> bool:
        """Return whether the cookies of a request hold the token."""
        try:
            found = SimpleCookie(cookies).get(self._cookie)
        except CookieError:
            return False
        return found is not None and self.is_token(found.value)

    def is_own_host(self, host: str) -> bool:
        """Return whether a `Host` header names this server."""
        try:
            parts = urlsplit(f"//{host}")
            name, port = parts.hostname, parts.port
        except ValueError:
            return False
        if not name or parts.netloc != host or parts.path or "@" in host or (port or 80) != self._port:
            return False
        address = _address(name)
        if address is None:
            return name == self._host.lower() or (name == LOOPBACK_NAME and self._serves_loopback())
        return address.is_loopback if is_loopback(self._host) else True

    def _serves_loopback(self) -> bool:
        address = _address(self._host)
        return is_loopback(self._host) or (address is not None and address.is_unspecified)

    def is_own_origin(self, origin: str) -> bool:
        """Return whether an `Origin` header names this server."""
        scheme, separator, host = origin.partition("://")
        return scheme == "http" and bool(separator) and self.is_own_host(host)
