# SPDX-License-Identifier: BSD-3-Clause
"""recheck-ingest: list mail in, the retest JSON out."""

__version__ = "0.1.0"
