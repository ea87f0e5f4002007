"""Values and graphs of Rust, read by stock Dask, and stock Dask's values for Rust.

Argument: a file of JSON, `{"values": {name: {"header": hex, "frames": [hex, ..]}}, "graphs":
{name: hex}}`. The last line of the output is JSON: how Python reads each value and graph, and how
Python sends values of its own.
"""

import json
import pickle
import sys

import msgpack
import numpy
import pyarrow
from distributed.protocol import deserialize, serialize


def text(value):
    """A value with its types; lists of columns for a table."""
    return repr(value.to_pydict() if isinstance(value, pyarrow.Table) else value)


def read(value):
    header = msgpack.unpackb(bytes.fromhex(value["header"]), use_list=False, strict_map_key=False)
    return text(deserialize(header, [bytearray.fromhex(frame) for frame in value["frames"]]))


def graph(digits):
    """The tasks of a graph, by key: what each calls, its payload, and what it refers to."""
    tasks = pickle.loads(bytes.fromhex(digits)).__dask_graph__()
    return {
        str(key): {
            "function": task.func.__name__,
            "payload": task.args[0].hex(),
            "references": [str(argument.key) for argument in task.args[1:]],
            "dependencies": sorted(str(dependency) for dependency in task.dependencies),
        }
        for key, task in tasks.items()
    }


def own(value):
    header, frames = serialize(value)
    header["num-sub-frames"] = len(frames)
    packed = msgpack.packb(header, use_bin_type=True)
    return {"header": packed.hex(), "frames": [bytes(frame).hex() for frame in frames]}


OWN = {
    "none": None,
    "bool": True,
    "int": -70_000,
    "int64": 2**63 - 1,
    "uint64": 2**64 - 1,
    "float": 0.1,
    "str": "hé",
    "bytes": b"\x00\xff",
    "bytearray": bytearray(b"ab"),
    "list": [1, 2, 3],
    "nested": [[1, 2], [], [3]],
    "tuple": ("a", 1),
    "set": {7},
    "dict": {"a": [1, {"b": (None, False)}], "c": bytearray(b"z")},
    "int keys": {1: "x"},
    "table": pyarrow.table({"n": [1, 2, 3]}),
    "array": numpy.arange(3),
}

if __name__ == "__main__":
    with open(sys.argv[1]) as file:
        given = json.load(file)
    answer = {
        "values": {name: read(value) for name, value in given["values"].items()},
        "graphs": {name: graph(digits) for name, digits in given["graphs"].items()},
        "own": {name: own(value) for name, value in OWN.items()},
    }
    print(json.dumps(answer))
