"""Rules that find people and machines in text: URIs, names of callers, hosts, addresses and telephone numbers.

Each rule yields spans of a text without escape sequences. A rule visits a character a bounded number of times.
"""

import ipaddress
import re
from collections.abc import Iterator

from astbtd.store.redaction.placeholders import Kind
from astbtd.store.redaction.secret_rules import Rule, Span, find

_URI = (
    re.compile(  # without a scheme, only with a full host name: gdb writes `name@entry`, the linker `name@GLIBC_2.2.5`
        r"(?i)(?<![\w.+!~*'%-])(?P<before>(?:sips?|tel|xmpp|mailto|iax2?|turns?|stuns?):)?(?P<user>[\w.+!~*'%-]++)@"
        r"(?P<host>(?(before)[a-z0-9]|(?=[a-z0-9-]{1,63}+\.[a-z0-9])[a-z0-9])[a-z0-9.-]{0,252}+)(?![\w@])"
    )
)
_HOST_ONLY_URI = re.compile(
    r"(?i)(?:\bsips?:|\bSIP/2\.0/\w{2,5} |@|\bIN IP[46] |\bturns?:|\bstuns?:)"
    r"(?P<host>[a-z0-9-]{1,63}+(?:\.[a-z0-9-]{1,63}+){1,9})(?![\w@(])"
)
_ENCODED_HOST = re.compile(r"(?i)%40(?P<host>[a-z0-9-]{1,63}+(?:\.[a-z0-9-]{1,63}+){1,9})")
_DISPLAY_NAME = re.compile(r"""["'](?P<name>[^"'<>\r\n\0\\]{1,80}+)\\{0,3}["']\s{0,3}<(?=sips?:|tel:|\+?\d|<)""")
_PLAIN_DISPLAY_NAME = re.compile(
    r"(?i)(?:^|(?<=[\r\n\0,]))(?:from|to|contact|f|t|m|p-asserted-identity|p-preferred-identity|remote-party-id|"
    r"referred-by|diversion|reply-to)[ \t]{0,3}:[ \t]{0,3}(?P<name>[^\"'<>\r\n\0]{1,80}+)<(?=sips?:|tel:)"
)
_CALLER_NUMBER = re.compile(r"""["']\s{0,3}<(?P<number>\+?\d{2,20}+)>""")
_CALLER_FUNCTION = re.compile(
    r"(?i)\b(?:callerid|connectedline|redirecting)\((?P<what>name|num|all|number|dnid|rdnis|ani)[\w-]{0,12}\)="
    r"(?P<value>[^\r\n\0,)]{1,80}+)"
)
_CALLER_OBJECT = re.compile(
    r"""(?P<q>\\{0,3}")(?:caller|connected)(?P=q)\s{0,3}:\s{0,3}\{\s{0,9}(?P=q)name(?P=q)\s{0,3}:\s{0,3}(?P=q)"""
    r"""(?P<name>[^"\\]{0,80}+)(?P=q)\s{0,3},\s{0,9}(?P=q)number(?P=q)\s{0,3}:\s{0,3}(?P=q)(?P<number>[^"\\]{0,40}+)"""
)
_HOME = re.compile(r"/home/(?P<value>[^/\s\"'<>\0]++)")
_MAILBOX_PATH = re.compile(r"/voicemail/[^/\s\"']{1,80}+/(?P<value>\d{3,20}+)(?=/|\b)")
_IPV4 = re.compile(r"(?<![\d.])(?:(?<!\w)|(?<=_)|(?<=IP)|(?<=ip))(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)")
_IPV6 = re.compile(r"(?i)(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}(?![\w:])")
_IPV6_SIGN = re.compile(r"(?i)\d|(?<!:):(?!:)")  # not a name of C++ such as `face::add`
_HARDWARE = re.compile(r"(?i)(?<![\w:-])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![\w:-])")
_INTERNATIONAL = re.compile(r"(?<!\w)\+\d{6,15}(?!\w)")
_DIGITS = re.compile(r"(?<![\w.+-])\d{6,19}(?!\w|\.\d)")
_FORMATTED_NUMBER = re.compile(
    r"(?<![\w.+:/-])(?:"
    r"\(0\d{1,5}\) ?\d[\d -]{2,12}\d"  # (030) 123-4567
    r"|\+\d{1,3}[ (-][\d ()-]{5,18}\d"  # +49 (30) 123 4567
    r"|00?[1-9]\d{1,4}[ /-]\d[\d -]{3,14}\d"  # 030 1234567, 0049-30-123456
    r"|\(?[2-9]\d{2}\)?[ -]\d{3}-\d{4}"  # (212) 555-0123
    r"|\d{4}([ -])\d{4}\1\d{4}\1\d{4}"  # a payment card
    r")(?![\w.-])"
)
_UNIVERSAL = frozenset(("255.255.255.255",))

_PRODUCT = re.compile(
    r"""(?i)(?:\w-|(?:version|release|revision|firmware|build|\bver|\brev|\blib[\w+-]{0,20}|asterisk|pjproject|pjsip|pjlib|openssl|"""
    r"""\bgcc|\bgnu|dahdi|libpri|freepbx|fpbx|sangoma|debian|ubuntu|kernel|linux|glibc|certified|user-agent[^\r\n]{0,48}|"""
    r"""\bserver: [^\r\n]{0,48})[\w.]{0,10}[\s=:/"'v(-]{0,6}(?:0x[0-9a-f]{1,16} ?["']?)?)$"""
)
CONTEXT = 64  # characters before an address that tell whether it is a version
_MIN_ADDRESS = 100  # a version does not begin with such a number


def uris(text: str) -> Iterator[Span]:
    """Find the user and the host of URIs and of addresses of electronic mail, and names beside them."""
    if "<" in text:
        for pattern in (_DISPLAY_NAME, _PLAIN_DISPLAY_NAME):
            for found in pattern.finditer(text):
                start, end = found.span("name")
                yield Span(start, start + len(text[start:end].rstrip()), Kind.NAME)
        for found in _CALLER_NUMBER.finditer(text):
            yield Span(*found.span("number"), Kind.NUMBER)
    if "@" in text:
        for found in _URI.finditer(text):
            yield Span(*found.span("user"), Kind.USER)
            yield _host(found.start("host"), found["host"])
    for found in find(_ENCODED_HOST, text, "%40"):
        yield _host(found.start("host"), found["host"])
    for found in find(_HOST_ONLY_URI, text, "sip", "SIP", "Sip", "@", "IN IP", "urn", "tun", "URN", "TUN"):
        if not found["host"].replace(".", "").isdigit():
            yield Span(*found.span("host"), Kind.HOST)


def _host(start: int, host: str) -> Span:
    end = start + len(host.rstrip(".-"))
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return Span(start, end, Kind.HOST)
    return Span(start, end, Kind.ADDRESS, str(address)) if not is_universal(address) else Span(start, start, Kind.HOST)


def callers(text: str) -> Iterator[Span]:
    """Find names and numbers of callers in the dialplan's functions and in the objects of ARI."""
    for found in find(_CALLER_FUNCTION, text, ")="):
        is_name = found["what"].lower() in ("name", "all")
        yield Span(*found.span("value"), Kind.NAME if is_name else Kind.NUMBER)
    for found in find(_CALLER_OBJECT, text, "caller", "connected"):
        yield Span(*found.span("name"), Kind.NAME)
        yield Span(*found.span("number"), Kind.NUMBER)


def paths(text: str) -> Iterator[Span]:
    """Find the names of users in home directories, and the numbers of mailboxes."""
    for found in _HOME.finditer(text):
        yield Span(*found.span("value"), Kind.USER)
    for found in _MAILBOX_PATH.finditer(text):
        yield Span(*found.span("value"), Kind.NUMBER)


def addresses(text: str) -> Iterator[Span]:
    """Find IP addresses, except those that are the same on every machine, and hardware addresses."""
    for found in _HARDWARE.finditer(text):
        yield Span(*found.span(), Kind.ADDRESS)
    for found in _IPV4.finditer(text):
        if not _is_version(text, found):
            yield from address_span(found.start(), found[0])
    for found in _IPV6.finditer(text):
        if _IPV6_SIGN.search(found[0]):
            yield from address_span(found.start(), found[0])


def _is_version(text: str, found: "re.Match[str]") -> bool:
    return is_version(text[max(0, found.start() - CONTEXT) : found.start()], found[0])


def is_version(before: str, written: str) -> bool:
    """Return whether four numbers with dots are a version, as the name of a product in the text before them tells."""
    first = written.partition(".")[0]
    return first.isdigit() and int(first) < _MIN_ADDRESS and bool(_PRODUCT.search(before))


def address_span(start: int, written: str) -> Iterator[Span]:
    """Yield the span of an address, unless it is invalid or the same on every machine: that one is useful."""
    try:
        address = ipaddress.ip_address(written)
    except ValueError:
        return
    if not is_universal(address):
        yield Span(start, start + len(written), Kind.ADDRESS, str(address))


def is_universal(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Return whether an address means the same on every machine."""
    return address.is_loopback or address.is_unspecified or str(address) in _UNIVERSAL


def international_numbers(text: str) -> Iterator[Span]:
    """Find telephone numbers with a `+`. Other numbers are numbers only in strings."""
    for found in _INTERNATIONAL.finditer(text):
        yield Span(*found.span(), Kind.NUMBER)


def numbers(text: str) -> Iterator[Span]:
    """Find telephone numbers and payment cards by their digits."""
    for pattern in (_FORMATTED_NUMBER, _DIGITS):
        for found in pattern.finditer(text):
            yield Span(*found.span(), Kind.NUMBER)


RAW_RULES: tuple[Rule, ...] = (uris, callers, paths, addresses, international_numbers)
"""The rules for text outside strings."""

STRING_RULES: tuple[Rule, ...] = (*RAW_RULES, numbers)
"""The rules for the contents of strings."""
