"""A program that counts and remembers how far it came: what a training is to an executor.

python counting.py FILE END SECONDS: counts in FILE to END, SECONDS a number; SIGTERM: exit status 75.
"""

import signal
import sys
import time
from pathlib import Path

place, end, pause = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
done = int(place.read_text()) if place.exists() else 0
print(f"goes on at {done}", flush=True)
for count in range(done + 1, end + 1):
    time.sleep(pause)
    part = place.with_suffix(".part")
    part.write_text(str(count))
    part.replace(place)
print("counted", flush=True)
