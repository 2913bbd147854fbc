# SPDX-License-Identifier: BSD-3-Clause
"""The enhanced status codes of SMTP replies."""

import re

# RFC 3463 for the replies that aiosmtpd gives without an enhanced status code (RFC 2034).
_ENHANCED = {
    "221": "2.0.0",
    "250": "2.0.0",
    "252": "2.0.0",
    "451": "4.3.0",
    "454": "4.7.0",
    "500": "5.5.2",
    "501": "5.5.4",
    "502": "5.5.1",
    "503": "5.5.1",
    "530": "5.7.0",
    "552": "5.3.4",
    "553": "5.1.3",
    "554": "5.7.0",
    "555": "5.5.4",
}
_HAS_ENHANCED = re.compile(r"[245]\.\d{1,3}\.\d{1,3} ")


def with_enhanced(status: str) -> str:
    """A reply's text, with the enhanced status code of its code if it has none."""
    code, mark, text = status[:3], status[3:4], status[4:]
    if code not in _ENHANCED or _HAS_ENHANCED.match(text):
        return status
    return f"{code}{mark}{_ENHANCED[code]} {text}"
