"""Runs a command under a time and a memory budget: measure.py SECONDS KIB COMMAND…

Prints elapsed time, processor time and the largest resident size, and fails if the command does or if it is over."""

import resource
import subprocess
import sys
import time

seconds_max, kib_max, command = float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
begin = time.monotonic()
status = subprocess.run(command, timeout=10 * seconds_max).returncode
elapsed = time.monotonic() - begin
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(
    f"{' '.join(command)}: {elapsed:.1f} s (budget {seconds_max:.0f}), "
    f"processor {usage.ru_utime + usage.ru_stime:.1f} s, "
    f"largest resident size {usage.ru_maxrss} KiB (budget {kib_max})"
)
if status != 0:
    sys.exit(f"failed with exit code {status}")
if elapsed > seconds_max:
    sys.exit("over the time budget")
if usage.ru_maxrss > kib_max:
    sys.exit("over the memory budget")
