"""Runs a program that must not outlive the process that started it.

The starter holds the other end of standard input and never writes to it. When
that end closes, however the starter ended, this process and all that it
started are ended: they share one process group. What the program leaves
running at its own end goes too.

Arguments: the program's file, or `-m` and a module's name, and the program's own
arguments.
"""

import os
import runpy
import signal
import sys
import threading

HAS_GROUPS = hasattr(os, "killpg")


def watch(pipe):
    while os.read(pipe, 1024):
        pass
    if HAS_GROUPS:
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def end_children():
    if HAS_GROUPS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.killpg(0, signal.SIGTERM)


def main():
    if HAS_GROUPS:
        os.setpgid(0, 0)
    # The watched end moves to a descriptor that children do not inherit, and
    # the program sees an empty standard input.
    pipe = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    threading.Thread(target=watch, args=(pipe,), daemon=True).start()

    del sys.argv[0]
    try:
        if sys.argv[0] == "-m":
            del sys.argv[0]
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
            runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        end_children()


main()
