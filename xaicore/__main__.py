"""``python -m xaicore``: the command line."""

from xaicore.cli import main

raise SystemExit(main())
