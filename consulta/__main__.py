"""`python -m consulta`"""

import sys

from consulta.cli.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
