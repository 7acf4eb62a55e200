"""`python -m ops.local ARGS`, what `./run ARGS` ends in."""

import sys

from ops.local.cli import main

sys.exit(main(sys.argv[1:]))
