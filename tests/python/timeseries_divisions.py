"""How Python Dask cuts timeseries into partitions.

    timeseries_divisions.py JSON

The argument is a list of objects with `start`, `end`, `freq` and
`partition_freq`. The last line on standard output is a list of the same length:
objects with `divisions` (seconds since 1970) and `rows` of each partition, or
with `error` where Dask refuses.
"""

import json
import sys

import dask
import dask.datasets

dask.config.set(scheduler="synchronous")


def cut(start, end, freq, partition_freq):
    try:
        frame = dask.datasets.timeseries(
            start,
            end,
            freq=freq,
            partition_freq=partition_freq,
            # One cheap column: only the index matters.
            dtypes={"x": float},
            seed=1,
        )
        rows = frame.map_partitions(len).compute().tolist()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {
        "divisions": [int(division.timestamp()) for division in frame.divisions],
        "rows": rows,
    }


def main():
    (cases,) = sys.argv[1:]
    print(json.dumps([cut(**case) for case in json.loads(cases)]))


if __name__ == "__main__":
    main()
