import sys

from regression.mutants.run import main

sys.exit(main())
