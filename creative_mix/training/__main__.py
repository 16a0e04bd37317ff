"""``torchrun -m creative_mix.training CONFIG``: `creative-mix train`, one of its processes."""

from __future__ import annotations

import sys

from creative_mix.cli.main import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]], prog_name="creative-mix")
