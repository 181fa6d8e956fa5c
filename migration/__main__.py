"""`python -m migration`."""

import gc
import sys

from migration.cli import main

# Syntax trees are made, kept and free of cycles: walking them again and again for garbage is a fifth of the time.
gc.disable()
sys.exit(main())
