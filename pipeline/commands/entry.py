"""Where the `hamba` program begins.

Ctrl-C and SIGTERM end it without a traceback from its first moment on, while the modules of the commands are still
being loaded too. So nothing but this is imported before they are looked after.
"""

import sys


def main() -> None:
    """Load the commands and run the one that is asked for."""
    try:
        from stages.common.stop_signals import interrupted_by_signals

        interrupted_by_signals()
        from pipeline.commands import cli

        cli.main()
    except KeyboardInterrupt:  # nothing has begun: what a command began, it ends itself
        sys.exit(130)


if __name__ == "__main__":
    main()
