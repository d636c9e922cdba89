"""Decides by the field of a printed value, and by the fields beside it, what kind of private data the value is."""

import ipaddress
import re

from astbtd.store.redaction.gdb_values import PrintedNumber
from astbtd.store.redaction.identity_rules import is_universal
from astbtd.store.redaction.name_rules import classify_name, is_key_file
from astbtd.store.redaction.placeholders import Kind
from astbtd.store.redaction.printed_strings import PrintedString

_KEY_FIELDS = ("name", "var_name", "varname", "variable", "key", "attribute")
_VALUE_FIELDS = frozenset(("value", "val", "data", "newval"))
_APPLICATION_FIELDS = ("app", "appl", "application")
_SECRET_APPLICATIONS = frozenset(("authenticate", "vmauthenticate", "disa"))
_CREDENTIAL_SIBLINGS = frozenset(("realm", "data_type", "scheme", "cred_type"))
_PARTY_SIBLINGS = frozenset(("valid", "char_set", "presentation", "plan"))
_PARTIES = {"name": Kind.NAME, "number": Kind.NUMBER}
_ADDRESS_FIELDS = frozenset(("sa_data", "__ss_padding", "ss_padding", "__u6_addr8", "u6_addr8", "s6_addr"))
# Fields of structures that hold one string, such as pj_str_t, ast_str and std::string.
_CARRIERS = frozenset(
    ("ptr", "str", "s", "data", "buf", "value", "bytes", "chars", "_M_p", "_M_local_buf", "_M_dataplus", "u", "__data")
)
_NUMBER_FIELDS = frozenset(("exten", "extension", "dialed", "dnid"))
_MIN_DIGITS = 6
_HASH_FIELDS = frozenset(("response", "md5", "digest"))
_HASH = re.compile(r"[0-9a-fA-F]{16,}")
_HOST = re.compile(r"(?i)[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z][a-z0-9-]+")


def classify_string(printed: PrintedString) -> Kind | None:
    """Return the kind of private data that a string is as a whole, None if its content has to be searched."""
    content = printed.content.strip("\0")
    if not content:
        return None
    name = _descriptive_name(printed)
    kind = classify_name(name)
    if kind is Kind.HOST:
        return kind if _HOST.fullmatch(content) else None
    if kind is not None:
        return None if is_key_file(name, content) else kind
    if printed.field in _ADDRESS_FIELDS:
        return Kind.ADDRESS
    if printed.field in _HASH_FIELDS and _HASH.fullmatch(content):
        return Kind.SECRET
    return _classify_by_group(printed)


def _descriptive_name(printed: PrintedString) -> str:
    """Return the name of the field, or of the nearest structure around it whose name says what it holds."""
    for name in (printed.field, *reversed(printed.group.names)):
        if name and name not in _CARRIERS:
            return name
    return ""


def _classify_by_group(printed: PrintedString) -> Kind | None:
    """Classify a string by the other fields of its structure, or those of the structure around it."""
    group = printed.group
    structure = group.names[-1] if group.names else ""
    is_party = structure in _PARTIES and bool(group.fields & _PARTY_SIBLINGS)
    if is_party and printed.field == "str":
        return _PARTIES[structure]
    siblings = group.parent.fields if group.parent else set()
    if structure == "data" and siblings & _CREDENTIAL_SIBLINGS:
        return Kind.SECRET
    if printed.field in _VALUE_FIELDS:
        return _classify_value(printed)
    return None


def _classify_value(printed: PrintedString) -> Kind | None:
    """Classify the value of a pair, such as a channel variable: its name is the string beside it."""
    texts = printed.group.texts
    if any(texts.get(name, "").lower() in _SECRET_APPLICATIONS for name in _APPLICATION_FIELDS):
        return Kind.SECRET
    for field in _KEY_FIELDS:
        kind = classify_name(texts.get(field, "").strip("\0"))
        if kind is not None and kind is not Kind.HOST:
            return kind
    return None


def binary_address(printed: PrintedString) -> str | None:
    """Return the IPv4 or IPv6 address in the bytes of a socket address; None if it is the same on every machine."""
    data = printed.content.encode("latin-1", "replace")
    if "addr" in printed.field:  # nothing but an IPv6 address
        address = data[:16].ljust(16, b"\0")
    else:  # a port, then an IPv4 address, or four bytes and an IPv6 address
        is_ipv6 = any(data[6:22])
        address = data[6:22].ljust(16, b"\0") if is_ipv6 else data[2:6].ljust(4, b"\0")
    parsed = ipaddress.ip_address(address)
    return None if is_universal(parsed) else str(parsed)


def is_telephone_number(number: PrintedNumber) -> bool:
    """Return whether a number without quotes is a telephone number, as its field tells."""
    is_named = number.field in _NUMBER_FIELDS or classify_name(number.field) is Kind.NUMBER
    return is_named and number.end - number.start >= _MIN_DIGITS


def number_address(number: PrintedNumber) -> str | None:
    """Return the address that a number is, None if it is none or the same on every machine."""
    if number.field != "s_addr" or number.value > 0xFFFFFFFF:
        return None
    address = ipaddress.IPv4Address(number.value.to_bytes(4, "little"))
    return None if is_universal(address) else str(address)
