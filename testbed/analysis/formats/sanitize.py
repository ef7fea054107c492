# SPDX-License-Identifier: Apache-2.0
"""Text of a guest, a manifest or a host, made harmless for a page and a drawing.

Escaping keeps it from being markup. What is left are characters that act by themselves: controls,
halves of a surrogate pair, which no file can be written with, and the marks that turn around the
direction of all that follows in a line, digits of ours included.
"""

import re

ACTING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
    "\ufffe\uffff]"
)
REPLACEMENT = "\ufffd"


def harmless(text: str) -> str:
    """The text with a replacement character for each one that would act."""
    return ACTING.sub(REPLACEMENT, text)
