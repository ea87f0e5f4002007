"""What a stock client does in a cluster of the tests.

Arguments: the scheduler's address, the name of a function below, and the
function's own arguments. The last line of the output is what it returned, as
JSON.
"""

import json
import sys
import time

from distributed import Client, wait


def add(client, left, right):
    """Runs a task on any worker."""
    return client.submit(lambda a, b: a + b, int(left), int(right)).result()


def worker_names(client):
    return sorted(worker["name"] for worker in client.scheduler_info()["workers"].values())


def keys(client):
    """All keys that a worker holds."""
    return sorted(str(key) for key in client.who_has())


def annotated(client):
    """For each task its name, and what the scheduler makes of its annotations."""

    def read(dask_scheduler):
        tasks = dask_scheduler.tasks.values()
        return [
            [task.prefix.name, task.annotations.get("priority"), task.annotations.get("tags"), task.priority[0]]
            for task in tasks
        ]

    tasks = client.run_on_scheduler(read)
    return sorted(tasks, key=lambda task: [task[0], str(task[1])])


def payload_of(client, name):
    """What one of the tasks of this name carries for its worker, as hexadecimal digits."""

    def read(dask_scheduler):
        tasks = dask_scheduler.tasks.values()
        return next(task.run_spec.args[0].hex() for task in tasks if task.prefix.name == name)

    return client.run_on_scheduler(read)


def messages_of_runs(client):
    """How many messages of runs the scheduler keeps, and the bytes of the largest."""
    events = [event for topic in client.get_events().values() for _, event in topic]
    sizes = [len(event["flow"]) for event in events if isinstance(event, dict) and "flow" in event]
    return [len(sizes), max(sizes, default=0)]


def timed(work):
    """How long work takes: on the clock, and of this process's processor time."""
    start, processor = time.perf_counter(), time.process_time()
    kept = work()
    times = [time.perf_counter() - start, time.process_time() - processor]
    del kept
    return times


def time_of_nothing(client, tasks):
    """How long many tasks take that do nothing, their results kept."""

    def work():
        futures = client.map(lambda x: x, range(int(tasks)), pure=False)
        wait(futures)
        return futures

    return timed(work)


def time_of_batches(client, rows, batches):
    """The same of a function that is called on many rows, cut into lists by hand."""
    rows, batches = int(rows), int(batches)
    size = -(-rows // batches)

    def work():
        lists = [list(range(first, min(first + size, rows))) for first in range(0, rows, size)]
        futures = client.map(lambda xs: [x * 2 for x in xs], lists, pure=False)
        wait(futures)
        return futures

    return timed(work)


def main(functions):
    address, function, *arguments = sys.argv[1:]
    with Client(address) as client:
        print(json.dumps(functions[function](client, *arguments)))


if __name__ == "__main__":
    main(globals())
