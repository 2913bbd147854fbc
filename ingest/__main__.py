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
    _hold_descriptors()
    arguments = sys.argv[1:]
    if arguments[:1] and arguments[0].startswith("-"):
        from ingest.commands.arguments import in_order

        arguments = in_order(arguments)
    if arguments[:1] != ["pipe"] or not {"-h", "--help"}.isdisjoint(arguments):
        from ingest.commands import cli

        sys.exit(cli.main(arguments))
    try:
        from ingest.commands import pipe

        code = pipe.main(arguments[1:])
    except BaseException as error:  # noqa: BLE001  any other exit code would bounce the mail
        _complain(error)
        code = 75
    # Nothing that happens while an interpreter is taken down may change the code any more.
    os._exit(code)


def _hold_descriptors() -> None:
    """Have standard input, output and error be open: a file of ours that was opened in the place
    of a closed one would be read or written by its number. What was closed cannot be written."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_WRONLY if descriptor == 2 else os.O_RDONLY)


def _complain(error: BaseException) -> None:
    try:
        os.write(2, f"recheck-ingest: {type(error).__name__}: {error}\n".encode()[:500])
    except (OSError, ValueError):  # there is nobody to tell
        return


if __name__ == "__main__":
    main()
