"""`python -m incarnate`."""

import sys

from incarnate.cli import main

sys.exit(main())
