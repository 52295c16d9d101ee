"""Finds secrets: by the names of settings, and by the words around them in texts.

What looks like a secret is hidden, even where that takes a harmless word with it. Numbers are kept
where a name speaks of tokens: a text has many of them.
"""

import base64
import binascii
import re
from typing import Any

HIDDEN = "***"

#: Parts of names that always announce a secret.
_STRONG = re.compile(
    r"passw(?:or)?d|passphrase|passcode|secret|credential|private_?key|api_?key|access_?key|auth_?key"
    r"|account_?key|encryption_?key|signing_?key|storage_?key|ssh_?key|connection_?string",
    re.IGNORECASE,
)
#: Words of names whose texts are secrets, and whose numbers are none.
_WEAK_WORDS = {
    *("pass", "pw", "pwd", "auth", "authorization", "bearer", "cookie", "sig", "signature", "jwt"),
    *("token", "tokens"),
}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
#: Tokens of a text, as models of language have them.
_HARMLESS_TOKENS = {
    *("pad", "mask", "eos", "bos", "unk", "sep", "cls", "special", "start", "end", "stop", "max"),
    *("min", "num", "n", "new", "added", "additional", "decoder", "image"),
}


def is_secret(name: str) -> bool:
    """Return whether the name of a setting or variable tells that its text is a secret."""
    return _is_strong(name) or _is_weak(name)


def _is_strong(name: str) -> bool:
    return bool(_STRONG.search(re.sub("[ -]", "_", name)))


def _is_weak(name: str) -> bool:
    """Return whether a name ends with a word like "token"."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] not in _WEAK_WORDS:
        return False
    return not (words[-1].startswith("token") and _HARMLESS_TOKENS.intersection(words[-2:-1]))


def without_secret(name: str, value: Any) -> Any:
    """Return the value of a secret name, as JSON, with everything hidden that may be secret."""
    if isinstance(value, dict):
        return {key: without_secret(name, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_secret(name, part) for part in value]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float) and not _is_strong(name):
        return value
    return HIDDEN


_QUOTED = r"""\\*"(?:\\.|[^"\\])*"?|'[^']*'?"""
#: A quoted text, or words of a shell that are glued together.
_VALUE = rf"""(?P<value>(?:{_QUOTED})(?=[\s,;)}}\]]|$)|(?:{_QUOTED}|[^\s"'])+)"""
_NAME_AND_VALUE = (
    # name=value, name: value, "name": "value", name => value
    re.compile(rf"""(?P<name>[A-Za-z][\w.-]*)(?P<sign>\\*["']?\s*(?:=>|:=|[=:]+)\s*){_VALUE}"""),
    # --name value
    re.compile(rf"""(?P<name>(?<![\w-])--?[A-Za-z][\w-]*)(?P<sign>\s+){_VALUE}"""),
)
_SPOKEN = re.compile(
    r"""(?P<name>(?<![\w-])(?:password|passwd|passphrase|passcode|pwd|api[ _-]?key))"""
    rf"""(?P<sign>(?:\s+(?:is|was))?\s+){_VALUE}""",
    re.IGNORECASE,
)
_IN_QUERY = re.compile(r"""(?P<name>(?<=[?&;])[\w.%-]+)(?P<sign>=)(?P<value>[^\s&#'"]+)""")
#: Further names of secrets in the address of a signed URL.
_QUERY_SECRETS = {"code", "key", "sas", "x-amz-credential", "x-goog-credential"}

#: The end of a value that closes what stood around it.
_CLOSING = re.compile(r"[,;)}\]]*$")
_NUMBER = re.compile(r"[+-]?[\d.]+(?:e[+-]?\d+)?[,;)}\]]*", re.IGNORECASE)

_USER_OF_URL = re.compile(r"""(?<=://)(?:[^\s'"/?#:]+:[^\s'"]*|[^\s'"/?#]*)@""")
_USER_OF_HOST = re.compile(r"""(?<![\w/@*])[\w.+%-]+:(?!//)[^\s'"]+@(?=[\w.-])""")
_HEADER = re.compile(
    r"""(?P<name>\b(?:proxy-)?authorization)(?P<sign>\\*["']?\s*[=:]\s*\\*["']?)"""
    r"""(?P<value>[^\r\n"']+)""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"""(?P<name>\bbearer)(?P<sign>\s+)(?P<value>[^\s"']+)""", re.IGNORECASE)
_BASIC = re.compile(r"""(?P<name>\bbasic)(?P<sign>\s+)(?P<value>[\w+/=-]{4,})""", re.IGNORECASE)
#: Secrets that are known by their form: keys of OpenAI, GitHub, GitLab, Hugging Face, Slack, AWS
#: and Google, JSON web tokens, PEM.
_FORMS = re.compile(
    r"\b(?:sk-[\w-]{16,}|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{16,}"
    r"|xox[abeprs]-[\w-]{10,}|(?:AKIA|ASIA)[A-Z0-9]{16}|AIza[\w-]{30,}"
    r"|eyJ[\w-]{8,}\.[\w-]+\.[\w-]*)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


def hide_secrets(text: str) -> str:
    """Return a text in which everything is hidden that looks like a secret."""
    text = _FORMS.sub(HIDDEN, text)
    text = _USER_OF_URL.sub(f"{HIDDEN}@", text)
    text = _HEADER.sub(_hide, text)
    text = _BEARER.sub(_hide, text)
    text = _BASIC.sub(lambda match: _hide(match) if _is_login(match["value"]) else match[0], text)
    text = _IN_QUERY.sub(_hide_in_query, text)
    for pattern in _NAME_AND_VALUE:
        text = _hide_values(pattern, text)
    text = _SPOKEN.sub(_hide, text)
    return _USER_OF_HOST.sub(f"{HIDDEN}@", text)


def _hide_values(pattern: re.Pattern[str], text: str) -> str:
    """Hide the values of secret names; a value may itself begin with a name and a value."""
    parts, position = [], 0
    while match := pattern.search(text, position):
        if is_secret(match["name"]):
            parts += [text[position : match.start()], _hide(match)]
            position = match.end()
        else:
            parts.append(text[position : match.start("value")])
            position = match.start("value")
    return "".join([*parts, text[position:]])


def _hide(match: re.Match[str]) -> str:
    name, value = match["name"], match["value"]
    is_number = _NUMBER.fullmatch(value) and not _is_strong(name)
    if value.startswith(HIDDEN) or is_number:
        return match[0]
    closing = _CLOSING.search(value)
    return f"{name}{match['sign']}{HIDDEN}{closing[0] if closing else ''}"


def _hide_in_query(match: re.Match[str]) -> str:
    name = match["name"]
    return _hide(match) if is_secret(name) or name.lower() in _QUERY_SECRETS else match[0]


def _is_login(text: str) -> bool:
    """Return whether a text is a user with a password, in base64."""
    try:
        return b":" in base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
