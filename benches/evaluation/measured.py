"""Runs a process and measures its time and peak memory."""

import os
import subprocess
import time


def measured(command, **options):
    """Standard output, seconds, peak resident memory in MiB."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}")
    return output, time.monotonic() - started, usage.ru_maxrss / 1024
