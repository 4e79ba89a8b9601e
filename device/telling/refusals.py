"""Why a broker is not reached, in words: what was found there, and the next step."""

from __future__ import annotations

import socket
import ssl

from edge_nusa.device.telling.address import BrokerAddress

LOGIN = ("Bad user name or password", "Not authorized")


class RefusedByBrokerError(ConnectionError):
    """The broker answered, and does not let this board in; the text is its reason."""


def words(error: Exception, address: BrokerAddress) -> str:
    """Why a broker is not reached, with the next step."""
    if isinstance(error, RefusedByBrokerError):
        return _refusal(str(error), address)
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not believed ({error.verify_message}); pass its authority's file by --mqtt-ca"
    if isinstance(error, ssl.SSLError):
        return "expected TLS there, found something else; write mqtt:// or its other port"
    if isinstance(error, socket.gaierror):
        return "no host of this name is found; check the name, or write its number"
    if isinstance(error, TimeoutError):
        return "it does not answer; check address and port, and that the broker runs"
    if isinstance(error, OSError):
        return f"it is not reached ({error.strerror or error}); check address and port, and that the broker runs"
    return f"it says what is no MQTT ({type(error).__name__}); check address and port"


def _refusal(reason: str, address: BrokerAddress) -> str:
    if reason in LOGIN:
        who = f"the user {address.user}" if address.user else "anyone without a user"
        return f"it refuses {who} ({reason.lower()}); check the user in the address and the password"
    return f"it refuses this board ({reason.lower()}); see the broker's own log"
