# SPDX-License-Identifier: BSD-3-Clause
"""Where mail comes from. A source knows nothing but ``intake.accept``."""
