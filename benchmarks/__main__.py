"""`python -m symnet.benchmarks`."""

import sys

from symnet.benchmarks.command import main

sys.exit(main())
