"""What Python Dask makes of the Parquet files of a timeseries.

    summarize_parquet.py DIRECTORY RANK_ERROR

The last line on standard output is one JSON object: the group-by by name, the
`describe` of the numeric columns, for each of these the sum of absolute values,
and for each quartile the values between which an answer with that rank error
must lie. Floats are written as strings, because not every reader of JSON keeps
the last bit of a number.
"""

import json
import sys

import dask
import dask.dataframe

# No cluster: the answers do not depend on the engine.
dask.config.set(scheduler="threads")

QUARTILES = {"25%": 0.25, "50%": 0.5, "75%": 0.75}


def exact(value):
    """The shortest text that stands for this float and no other."""
    return repr(float(value))


def group_by_name(frame):
    frame = frame.assign(magnitude=frame["x"].abs())
    groups = frame.groupby("name").agg(
        {"x": "sum", "magnitude": "sum", "y": ["min", "max"], "id": ["sum", "count"]}
    )
    table = groups.compute()
    return {
        name: {
            "x_sum": exact(row["x", "sum"]),
            "x_magnitude": exact(row["magnitude", "sum"]),
            "y_min": exact(row["y", "min"]),
            "y_max": exact(row["y", "max"]),
            "id_sum": int(row["id", "sum"]),
            "count": int(row["id", "count"]),
        }
        for name, row in table.iterrows()
    }


def describe(frame, rank_error):
    # Of times, Dask describes no more than pandas can.
    frame = frame.select_dtypes("number")
    description = frame.describe().compute()
    answer = {}
    for column in description.columns:
        values = frame[column].compute()
        bounds = {
            label: [
                exact(values.quantile(quartile - rank_error, interpolation="lower")),
                exact(values.quantile(quartile + rank_error, interpolation="higher")),
            ]
            for label, quartile in QUARTILES.items()
        }
        answer[column] = {
            "statistics": {
                label: exact(value) for label, value in description[column].items()
            },
            "magnitude": exact(values.abs().sum()),
            "quartiles": bounds,
        }
    return answer


def main():
    directory, rank_error = sys.argv[1:]
    frame = dask.dataframe.read_parquet(directory)
    types = {column: str(kind) for column, kind in frame.dtypes.items()}
    print(
        json.dumps(
            {
                "rows": len(frame),
                "types": types,
                "groups": group_by_name(frame),
                "describe": describe(frame, float(rank_error)),
            }
        )
    )


if __name__ == "__main__":
    main()
