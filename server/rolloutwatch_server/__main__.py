"""`python -m rolloutwatch_server` is the command `rolloutwatch`."""

import sys

from rolloutwatch_server.cli import main

sys.exit(main())
