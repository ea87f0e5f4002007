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


def time_of_nothing(client, tasks):
    """How long many tasks take that do nothing, their results kept."""
    start = time.perf_counter()
    futures = client.map(lambda x: x, range(int(tasks)), pure=False)
    wait(futures)
    return time.perf_counter() - start


def main(functions):
    address, function, *arguments = sys.argv[1:]
    with Client(address) as client:
        print(json.dumps(functions[function](client, *arguments)))


if __name__ == "__main__":
    main(globals())
