"""Tokens in place of addresses and numbers."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Possessive and bounded, and begun only where a word begins: the time is linear.
URL = re.compile(r"(?:\b[a-z][a-z0-9+.-]{1,20}://|\bwww\.)[^\s<>\"`]*[^\s<>\"`'.,:;!?)\]}]", re.I)
EMAIL = re.compile(r"(?<![\w.+-])\w[\w.+-]{0,63}+@[\w-]++(?:\.[\w-]++)++")
MENTION = re.compile(r"(?<![\w@.])@\w{1,50}+(?!\w)")
# With a country code; as in North America; with a leading zero; in brackets. No word may stand
# before a digit that begins one; before "+" and "(" anything may, so that masking twice is masking
# once. The first character is looked for first, which is quick.
PHONE = re.compile(
    r"[+(\d](?:"
    r"(?:(?<=\+)|(?<=0)(?<![\w.-]0)0)(?=(?:[ .()-]{0,2}\d){7})"
    r"\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){1,4}"
    r"|(?<=\d)(?<![\w.-]\d)(?:(?<=1)[ .-](?:\d{3}[ .-]|\(\d{3}\)[ .-]?)|\d\d[ .-])\d{3}[ .-]\d{4}"
    r"|(?<=0)(?<![\w.-]0)(?=(?:[ /-]?\d){7})\d{1,5}[ /-]\d{3,4}(?:[ -]?\d{2,4}){0,3}"
    r"|(?<=\()\d{3}\)[ .-]?\d{3}[ .-]\d{4}"
    r"|(?<=\()0\d{1,5}\)[ /-]?\d{3,4}(?:[ -]?\d{2,4}){0,3}"
    r")(?!\w)"
)


@dataclass(frozen=True)
class Mask:
    """Put ``<url>``, ``<email>``, ``<phone>`` and ``<user>`` for what they name.

    Attributes:
        urls: Mask addresses of the web.
        emails: Mask e-mail addresses.
        phones: Mask what looks like a phone number, with a country code or in groups; some are
            missed, and a number that is none may look like one.
        mentions: Mask ``@name``.

    >>> Mask().rewrite(["see https://a.org/b, or write to me@b.org or call +49 30 1234567"])
    ['see <url>, or write to <email> or call <phone>']
    """

    urls: bool = True
    emails: bool = True
    phones: bool = True
    mentions: bool = False

    def rewrite(self, texts: list[str]) -> list[str]:
        """Mask each text."""
        return [self._masked(text) for text in texts]

    def _masked(self, text: str) -> str:
        masked = text
        if self.urls and ("://" in text or "www." in text.lower()):
            masked = URL.sub("<url>", masked)
        if self.emails and "@" in masked:
            masked = EMAIL.sub("<email>", masked)
        if self.mentions and "@" in masked:
            masked = MENTION.sub("<user>", masked)
        if self.phones:
            masked = PHONE.sub("<phone>", masked)
        return text if masked == text else masked
