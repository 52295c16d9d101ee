"""The tests. While they are collected, what is imported stays, and no garbage is collected.

Imports make hundreds of thousands of objects, and looking through them again and again takes a
quarter of the time that collecting the tests takes. ``conftest`` collects garbage again.
"""

import gc
import sys

# Benchmarks use modules of this package, too.
if "pytest" in sys.modules:
    gc.disable()
