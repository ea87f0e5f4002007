"""What a stock client calls in a cluster with Rust workers, and what it gives to a client of ours.

The helper of the guide comes as an argument: its source.
"""

import math

import numpy
import pyarrow
from client import main

MEGABYTE = 1_000_000


def large_table():
    """Several chunks, a dictionary column, nulls, and a list column."""
    words = pyarrow.chunked_array([["a", None], ["b", "a"], []], pyarrow.string())
    return pyarrow.table(
        {
            "number": pyarrow.chunked_array([[1, 2], [3, None], []], pyarrow.int64()),
            "word": words.dictionary_encode(),
            "list": pyarrow.chunked_array([[[1], []], [None, [2, 3]], []], pyarrow.list_(pyarrow.int8())),
        }
    )


def same(left, right):
    if type(left) is not type(right):
        return False
    if isinstance(left, pyarrow.Table):
        return left.schema.equals(right.schema) and left.equals(right)
    if isinstance(left, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    return left == right


KINDS = [
    ("nothing", [None]),
    ("truth", [True, False]),
    ("integer", [0, -1, 2**63 - 1, -(2**63)]),
    ("unsigned", [0, 2**63, 2**64 - 1]),
    ("float", [0.1, -0.0, math.inf, -math.inf, math.nan, 5e-324]),
    ("text", ["", "hé", "日本語 🦀", "a\0b", "x" * 70_000]),
    ("binary", [b"", b"\0\xff", bytes(range(256)) * 300]),
    ("list", [[], [1, -300, 2**40], list(range(1000))]),
    ("nested", [[], [["a", None], []]]),
    ("by_number", [{}, {1: "x", -5: "y"}]),
    ("point", [{"name": "o", "at": [0, 0.5], "note": None}]),
    ("json", [{"a": [1, {"b": None}], "": True}]),
]


def calls(client, helper):
    """Calls a task of Rust for each kind of value; what came back otherwise."""
    rust = load(helper)
    asked = [
        (name, value, rust(client, name, value)) for name, values in KINDS for value in values
    ]
    large = bytes(10 * MEGABYTE)
    for name, value in [("table", large_table()), ("table", large_table().slice(0, 0)), ("binary", large)]:
        asked.append((name, value, rust(client, name, client.scatter(value))))
    # Results of Python, and of Rust; by place, by name, and in a list.
    word = client.submit(str.lower, "A", pure=False)
    other = rust(client, "text", word)
    asked.append(("joined", "a-a-b", rust(client, "joined", [word, other, "b"], "-")))
    asked.append(("joined", "a+a!", rust(client, "joined", ("a", "a"), separator="+", end="!")))
    asked.append(("joined", "ab", rust(client, "joined", ["a", "b"], separator=rust(client, "text", ""))))
    # And on to Python.
    asked.append(("str.upper", "B", client.submit(str.upper, rust(client, "text", "b"))))
    wrong = []
    for name, value, future in asked:
        try:
            result = future.result(timeout=60)
            if not same(result, value):
                wrong.append(f"{name}({value!r:.80}) is {result!r:.80}")
        except Exception as error:
            wrong.append(f"{name}({value!r:.80}) raised {error!r}")
    return wrong


def errors(client, helper):
    """What calls raise: class and text."""
    rust = load(helper)
    futures = {
        "fails": rust(client, "picky", 3),
        "key": rust(client, "integre", 3),
        "type": rust(client, "integer", "three"),
        "missing": rust(client, "joined", ["a"]),
        "many": rust(client, "integer", 1, 2),
        "name": rust(client, "integer", y=1),
        "twice": rust(client, "integer", 1, x=1),
        "large": rust(client, "unsigned", 2**64),
        "python": rust(client, "list", numpy.arange(3)),
        "parent": rust(client, "parent", 3),
    }
    found = {}
    for name, future in futures.items():
        error = future.exception(timeout=60)
        found[name] = [type(error).__name__, str(error)]
    return found


def load(helper):
    names = {}
    exec(helper, names)
    return names["rust"]


GIVEN = {
    "none": None,
    "minimum": -(2**63),
    "maximum": 2**64 - 1,
    "too large": 2**64,
    "infinite": -math.inf,
    "no number": math.nan,
    "empty text": "",
    "text": "日本語 🦀",
    "empty bytes": b"",
    "bytes": bytes(range(256)),
    "large": b"\x80" * (10 * MEGABYTE),
    "empty list": [],
    "list": [1, None, "x", [2.5, {}], b"z"],
    "dict": {1: [True], 2: None, -3: [None]},
    "empty dict": {},
    "table": large_table(),
    "array": numpy.arange(3),
}


def give(client):
    """Publishes values that stock workers hold; their keys by name."""
    futures = {name: client.scatter([value], hash=False)[0] for name, value in GIVEN.items()}
    client.publish_dataset(list(futures.values()), name="given")
    return {name: future.key for name, future in futures.items()}


def is_the_table(client, key):
    """Whether what somebody holds is the table above."""
    return same(client.sync(client.scheduler.gather, keys=[key])["data"][key], large_table())


if __name__ == "__main__":
    main(globals())
