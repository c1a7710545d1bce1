"""``python -m xaicore``: the command line."""

from xaicore.cli.main import main

raise SystemExit(main())
