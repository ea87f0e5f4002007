"""A cluster of any class of Dask's, for a process in another language.

Argument: JSON with `class`, `options` and `adapt`. The first line of the output is JSON: the
scheduler's address, or what went wrong. The cluster is closed when the standard input ends,
however the process at the other end of that pipe ended.
"""

import importlib
import inspect
import json
import os
import sys
import threading

# Whatever a cluster prints is no answer.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def answer(**members):
    print(json.dumps(members), file=answers, flush=True)


def fail(kind, error):
    answer(error=kind, text=f"{type(error).__name__}: {error}")
    sys.stdout.flush()
    os._exit(1)


started = threading.Event()
ended = threading.Event()


def watch():
    while os.read(0, 1024):
        pass
    if not started.is_set():
        os._exit(1)
    ended.set()


def pair(worker):
    """What a stock worker and ours beside it have in common."""
    return str(worker.name).removeprefix("beside-")


def adapt(cluster, options):
    """Ours do the work and stock ones start them, so both close together and count as one."""
    from distributed.protocol import pickle

    parameter = inspect.signature(cluster.adapt).parameters.get("Adaptive")
    if parameter is None or not isinstance(parameter.default, type):
        # It has ways of its own.
        return cluster.adapt(**options)

    class Paired(parameter.default):
        async def workers_to_close(self, target):
            return await self.scheduler.workers_to_close(
                target=2 * target,
                key=pickle.dumps(pair),
                attribute="name",
                **self._workers_to_close_kwargs,
            )

    return cluster.adapt(Adaptive=Paired, **options)


def main():
    threading.Thread(target=watch, daemon=True).start()
    wanted = json.loads(sys.argv[1])
    module, _, name = wanted["class"].rpartition(".")
    try:
        factory = getattr(importlib.import_module(module), name)
    except ImportError as error:
        fail("module", error)
    except (AttributeError, ValueError) as error:
        fail("class", error)
    if not callable(factory):
        fail("class", TypeError(f"{name} cannot be called"))
    try:
        cluster = factory(**wanted["options"])
    except TypeError as error:
        fail("options", error)
    except BaseException as error:
        fail("start", error)
    try:
        if wanted["adapt"]:
            adapt(cluster, wanted["adapt"])
        address = cluster.scheduler_address
    except BaseException as error:
        fail("start", error)
    started.set()
    answer(address=address)
    ended.wait()
    # A cluster that does not close must not stay.
    threading.Timer(20, os._exit, [1]).start()
    cluster.close()
    os._exit(0)


if __name__ == "__main__":
    main()
