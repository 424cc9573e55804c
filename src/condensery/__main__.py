"""``python -m condensery``."""

from __future__ import annotations

import sys

from condensery.cli import main

if __name__ == "__main__":
    sys.exit(main())
