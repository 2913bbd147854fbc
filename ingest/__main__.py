# SPDX-License-Identifier: BSD-3-Clause
"""The command ``recheck-ingest`` and ``python -m ingest``.

``pipe`` is recognised before anything else is imported: it must be cheap, and whatever goes
wrong with it, an import of ours included, must end in an exit code that makes the mail server
keep the mail.
"""

import os
import sys


def main() -> None:
    """Run the command line of this process and end it."""
    if sys.argv[1:2] != ["pipe"] or not {"-h", "--help"}.isdisjoint(sys.argv):
        from ingest.commands import cli

        sys.exit(cli.main(sys.argv[1:]))
    try:
        from ingest.commands import pipe

        code = pipe.main(sys.argv[2:])
    except BaseException as error:  # noqa: BLE001  any other exit code would bounce the mail
        os.write(2, f"recheck-ingest: {type(error).__name__}: {error}\n".encode()[:500])
        code = 75
    # Nothing that happens while an interpreter is taken down may change the code any more.
    os._exit(code)


if __name__ == "__main__":
    main()
