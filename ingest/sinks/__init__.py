# SPDX-License-Identifier: BSD-3-Clause
"""What writes requests outside the ledger, each by a cursor of its own."""
