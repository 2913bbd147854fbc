# SPDX-License-Identifier: BSD-3-Clause
"""What became of a request: by the lab's own word, by Patchwork's checks, or for too long not."""
