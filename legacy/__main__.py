"""`python -m legacy`."""

import sys

from legacy.cli import main

sys.exit(main())
