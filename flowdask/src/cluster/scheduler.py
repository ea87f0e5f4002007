"""A stock Dask scheduler that ends when its standard input does, however the
process at the other end of that pipe ended."""

import os
import sys
import threading

from distributed.cli.dask_scheduler import main


def watch(pipe):
    while os.read(pipe, 1024):
        pass
    os._exit(0)


threading.Thread(target=watch, args=(os.dup(0),), daemon=True).start()
sys.argv[0] = "dask scheduler"
main()
