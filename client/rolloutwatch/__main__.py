"""`python -m rolloutwatch` is the command `rolloutwatch`."""

import sys

from rolloutwatch_contract.command import main

sys.exit(main())
