"""TensorBoard's event files, through tensorboardX without torch.

tensorboardX imports torch wherever it is installed, for tensors that we do not give it: a second of each start and a
tenth of a gigabyte of memory.
"""

import sys
from typing import Any

__all__ = ["SummaryWriter"]

if "torch" in sys.modules:
    from tensorboardX import SummaryWriter
else:
    absent: Any = None
    sys.modules["torch"] = absent  # as if it were not installed
    try:
        from tensorboardX import SummaryWriter
    finally:
        del sys.modules["torch"]
