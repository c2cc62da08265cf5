"""`python -m cirgen` does what `cirgen` does, for environments whose scripts are not on the path."""

from __future__ import annotations

from cirgen.cli.app import main

if __name__ == "__main__":
    main()
