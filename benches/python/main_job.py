"""The main job in Python Dask: what ours is compared with.

    main_job.py {threads|cluster} START END PARTITION_FREQ WORKERS

The last line on standard output is one JSON object: seconds of each step and the
time that its processors worked, rows, partitions, bytes of the persisted frame,
and the peak of resident memory over all processes (`null` where the operating
system does not tell it).
"""

import contextlib
import json
import sys
import time

import dask
import dask.datasets
from dask.distributed import Client, LocalCluster, wait


def peak_bytes():
    """The most memory that was ever resident in this process."""
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


@contextlib.contextmanager
def engine(kind, workers):
    """Runs what is inside on one of the two engines."""
    if kind == "threads":
        with dask.config.set(scheduler="threads", num_workers=workers):
            yield None
    else:
        cluster = LocalCluster(
            n_workers=workers, threads_per_worker=1, dashboard_address=None
        )
        with cluster, Client(cluster) as client:
            yield client


def processor_seconds(client):
    """How long the processors have worked for all processes."""
    seconds = [time.process_time()]
    if client is not None:
        seconds += client.run(time.process_time).values()
    return sum(seconds)


def total_peak_bytes(client):
    peaks = [peak_bytes()]
    if client is not None:
        peaks += client.run(peak_bytes).values()
    return None if None in peaks else sum(peaks)


def main_job(client, start, end, partition_freq):
    """Persists, groups and describes; tells the seconds of each step."""
    seconds, processors = {}, {}

    @contextlib.contextmanager
    def timed(step):
        worked = processor_seconds(client)
        begin = time.perf_counter()
        yield
        seconds[step] = time.perf_counter() - begin
        processors[step] = processor_seconds(client) - worked

    with timed("persist"):
        frame = dask.datasets.timeseries(
            start, end, partition_freq=partition_freq
        ).persist()
        if client is not None:
            wait(frame)
    with timed("group_by"):
        summary = frame.groupby("name").aggregate({"x": "sum", "y": "max"}).compute()
    main_job_peak = total_peak_bytes(client)
    with timed("describe"):
        frame.describe().compute()

    return {
        "seconds": seconds,
        "processor_seconds": processors,
        "rows": len(frame),
        "groups": len(summary),
        "partitions": frame.npartitions,
        "columns": [frame.index.name, *frame.columns],
        "frame_bytes": int(frame.memory_usage(deep=True).sum().compute()),
        "peak_bytes": main_job_peak,
        "peak_bytes_with_describe": total_peak_bytes(client),
    }


def main():
    kind, start, end, partition_freq, workers = sys.argv[1:]
    with engine(kind, int(workers)) as client:
        # Imports and caches that the first computation would pay for.
        main_job(client, "2000-01-01", "2000-01-15", "1w")
        result = main_job(client, start, end, partition_freq)
    print(json.dumps({"version": dask.__version__, **result}))


if __name__ == "__main__":
    main()
