"""The mapped flow in Prefect: what ours is compared with.

    mapped_flow.py ROWS

Runs with Prefect's own thread pool and a server of its own (SQLite) on the
loopback. The last line on standard output is one JSON object: the seconds of the
flow, without the start of the server and a first small run, and its sum.
"""

import json
import sys
import time

from prefect import flow, task
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.testing.utilities import prefect_test_harness


@task
def inc(x):
    return x + 1


@task
def double(x):
    return x * 2


@task
def add(x, y):
    return x + y


@task
def sum_all(z):
    return sum(z)


@flow
def inc_double_add_sum(a_range):
    a = inc.map(a_range)
    b = double.map(a_range)
    c = add.map(a, b)
    return sum_all.submit(c).result()


def main():
    rows = int(sys.argv[1])
    with prefect_test_harness(server_startup_timeout=120):
        # The end of a flow waits up to a second for its heartbeat, which would
        # count for much in a flow of this size.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            inc_double_add_sum(list(range(3)))
            begin = time.perf_counter()
            total = inc_double_add_sum(list(range(rows)))
            seconds = time.perf_counter() - begin
    print(json.dumps({"seconds": seconds, "sum": total}))


main()
