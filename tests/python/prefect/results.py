"""Finds two records that Rust wrote, and writes two that Rust finds.

Without a server: cache policies, transactions and stores need none, and a task
run's own engine calls just these. The last line on standard output is a JSON
object.
"""

import json

from prefect.cache_policies import INPUTS
from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from prefect.serializers import JSONSerializer
from prefect.settings import PREFECT_LOCAL_STORAGE_PATH
from prefect.transactions import transaction

storage = LocalFileSystem(basepath=str(PREFECT_LOCAL_STORAGE_PATH.value()))
store = ResultStore(result_storage=storage, serializer=JSONSerializer())


def run(value, **inputs):
    """What the engine of tasks does between Running and its final state."""
    key = INPUTS.compute_key(task_ctx=None, inputs=inputs, flow_parameters={})
    with transaction(key=key, store=store) as txn:
        if txn.is_committed():
            return "Cached", txn.read().result
        txn.stage(store.create_result_record(value, key))
        return "Completed", value


states, values = zip(
    run(["python"], name="ü", values=[1.5, 1e22]),
    run(["python"], name="b", values=[2.0]),
    run(
        ["python"],
        floats=[0.0, -0.0, 1e-5, 1e16, 5e-324, 0.1, float("inf")],
        single=0.1,
        numbers=(-1, 2**64 - 1),
        text='\x7f"\\/\n😀',
        map={10: True, 9: None},
        point={"y": 1.0, "x": "z"},
        nothing=None,
    ),
)
store.write(key="by-hand", obj=[1, 2])
print(json.dumps({"states": states, "values": values}))
