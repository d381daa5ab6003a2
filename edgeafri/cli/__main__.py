"""`python -m edgeafri.cli` is the `edgeafri` command."""

from edgeafri.cli import main

main()
