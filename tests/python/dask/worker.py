"""What a stock client asks of Rust workers.

Their executor (`tests/tests/dask/worker/calculator.rs`) understands a line of
text; a task is `rust(client, "add 5", *futures)`.
"""

import operator
import time

import client as stock
from distributed import wait

RUST = {"RUST": 1}


def rust(client, line, *inputs, **options):
    """Submits a task for Rust workers, as protocol, section 6.4 says."""
    options.setdefault("resources", RUST)
    return client.submit(operator.methodcaller, line.encode(), *inputs, pure=False, **options)


def all_of(client, *functions):
    """What each of these functions returns, by their names."""
    return {function: globals()[function](client) for function in functions}


def wait_for_workers(client, count):
    client.wait_for_workers(int(count))


def chain(client):
    one = rust(client, "add 1")
    three = rust(client, "add 2", one)
    six = rust(client, "add 2", three, one)
    return client.gather([one, three, six])


def errors(client):
    """How a failure and a panic look, and that a dependent fails as well."""
    failed = rust(client, "fail no luck")
    dependent = rust(client, "add 1", failed)
    panicked = rust(client, "panic")
    after = rust(client, "add 7")
    return [repr(future.exception()) for future in (failed, dependent, panicked)] + [after.result()]


def between(client, *workers):
    """Data moves between all of these workers, each way."""
    ones = [rust(client, "add 1", workers=[worker], resources=None) for worker in workers]
    sums = [rust(client, "add 10", *ones, workers=[worker], resources=None) for worker in workers]
    return client.gather(sums)


def with_python(client, workers):
    """Rust results go to a Python task, and its result to a Rust task."""
    client.wait_for_workers(int(workers))
    ones = [rust(client, "add 1") for _ in range(5)]
    total = client.submit(sum, ones, pure=False)
    return rust(client, "add 100", total).result()


def lambdas(client, count):
    """Python tasks that nobody tells where to run; how many went wrong."""
    futures = client.map(lambda x: x + 1, range(int(count)), pure=False)
    wait(futures)
    return sum(future.status != "finished" for future in futures)


def lost_lambda(client):
    return repr(client.submit(lambda: 1, pure=False).exception())


def wrong_build(client, worker):
    """A task for resources that the worker has not, forced there."""
    client.sync(client.scheduler.set_resources, worker=worker, resources={"FLOW-other": 1.0})
    return repr(rust(client, "add 1", resources={"FLOW-other": 1}).exception())


def build_of_workers(client):
    """The resource of the only worker's build."""
    (info,) = client.scheduler_info()["workers"].values()
    (build,) = (name for name in info["resources"] if name.startswith("FLOW-"))
    return build


def unknown_task(client, payload, name, other):
    """What a worker of flows says to a payload that names a task which it does not have."""
    payload = bytes.fromhex(payload)
    assert name.encode() in payload and len(name) == len(other), payload
    changed = payload.replace(name.encode(), other.encode())
    resources = {build_of_workers(client): 1}
    return repr(client.submit(operator.methodcaller, changed, pure=False, resources=resources).exception())


def nonsense(client):
    """What a worker of flows says to a payload that is none, and that it goes on."""
    build = build_of_workers(client)
    lengths = b"\x01\xfd" + b"\xff" * 8
    lines = ["", "nonsense", lengths.decode("latin-1")]
    futures = [
        client.submit(operator.methodcaller, line.encode("latin-1"), pure=False, resources={build: 1})
        for line in lines
    ]
    return [repr(future.exception()) for future in futures]


def start_sleepers(client, count, milliseconds):
    """Starts tasks that outlive this client."""
    futures = [rust(client, f"sleep {milliseconds}", key=f"sleep-{i}") for i in range(int(count))]
    client.publish_dataset(futures, name="sleepers")


def finish_sleepers(client):
    futures = client.get_dataset("sleepers")
    total = sum(client.gather(list(futures)))
    client.unpublish_dataset("sleepers")
    return total


def retire(client, worker):
    """All results survive one worker's retirement; who is left."""
    futures = [rust(client, "add 1") for _ in range(20)]
    wait(futures)
    client.retire_workers(names=[worker])
    return [sum(client.gather(futures)), stock.worker_names(client)]


def retire_one_of(client, count, worker):
    """Its data moves to the others of so many workers; who is left."""
    client.wait_for_workers(int(count))
    client.retire_workers(names=[worker])
    return stock.worker_names(client)


def retire_without_closing(client, worker):
    client.retire_workers(names=[worker], close_workers=False)


def hold(client, line, worker):
    """Publishes a result that lies with one worker, in place of an earlier one."""
    future = rust(client, line, workers=[worker], resources=None)
    wait(future)
    client.publish_dataset(future, name="held", override=True)


def held(client):
    return client.get_dataset("held").result()


def length_of_held(client, worker):
    """A worker reads the result that lies with another one."""
    held = client.get_dataset("held")
    return rust(client, "length", held, workers=[worker], resources=None).result()


def hold_lambda(client, worker):
    """A value that a Python worker holds, and that can be made again."""
    future = client.submit(lambda: 41, workers=[worker], allow_other_workers=True, pure=False)
    wait(future)
    client.publish_dataset(future, name="held")


def add_to_held(client):
    return rust(client, "add 1", client.get_dataset("held")).result()


def information(client):
    """What stock clients ask of clusters."""
    client.get_task_stream()  # the scheduler records from now on
    future = rust(client, "add 1", key="shown")
    wait(future)
    (address,) = client.scheduler_info()["workers"]
    info = client.scheduler_info()["workers"][address]
    assert "RUST" in str(info["resources"]), info
    assert address in repr(client.cluster or client.scheduler_info())
    assert "<table" in client._repr_html_() or client._repr_html_()
    assert client.who_has(future) == {"shown": (address,)}
    assert client.has_what() == {address: ("shown",)}
    assert client.nthreads() == {address: 1}
    assert client.nbytes()["shown"] > 0
    assert client.processing() == {address: ()}
    assert client.call_stack() == {} or client.call_stack() == {address: {}}
    assert client.get_versions(check=False)["workers"].keys() == {address}
    client.get_versions(check=True)
    assert client.get_worker_logs() == {address: ()}
    assert client.profile()["count"] == 0
    record = next(record for record in client.get_task_stream() if record["key"] == "shown")
    assert record["startstops"][0]["action"] == "compute" and record["typename"] == "int", record
    assert client.run(lambda: 1, on_error="return").keys() == {address}
    assert isinstance(client.run(lambda: 1, on_error="return")[address], RuntimeError)

    async def ask(op, **arguments):
        return await client.scheduler.broadcast(msg={"op": op, **arguments}, workers=[address])

    assert client.sync(ask, "ping") == {address: b"pong"}
    assert client.sync(ask, "keys") == {address: ("shown",)}
    assert client.sync(ask, "identity")[address]["type"] == "Worker"
    try:
        client.sync(ask, "no-such-op")
    except Exception as error:
        assert "no-such-op" in repr(error), error
    else:
        raise AssertionError("an unknown op has an answer")
    order = client.sync(client.scheduler.proxy, worker=address, msg={"op": "flow_order", "body": b"abc"})
    return order.decode()


def mixed(client, workers):
    """What a stock client sees of Rust and Python workers side by side."""
    client.wait_for_workers(int(workers))
    client.get_task_stream()  # the scheduler records from now on
    ones = [rust(client, "add 1", key=f"one-{i}") for i in range(4)]
    total = client.submit(sum, ones, key="total", pure=False)
    result = rust(client, "add 100", total, key="result")
    value = result.result()
    info = client.scheduler_info(n_workers=-1)["workers"]
    assert client.nthreads() == {address: 1 for address in info}
    holders = client.who_has([*ones, result])
    names = {address: worker["name"] for address, worker in info.items()}
    assert set(holders) == {"one-0", "one-1", "one-2", "one-3", "result"}, holders
    held_by = {names[address] for address in holders["result"]}
    versions = client.get_versions(check=False)["workers"]
    assert versions.keys() == info.keys(), versions
    stream = {record["key"]: names[record["worker"]] for record in client.get_task_stream()}
    return {
        "value": value,
        "names": sorted(names.values()),
        "result": sorted(held_by),
        "total": stream["total"],
        "recorded": sorted(stream),
    }


def memory(client):
    """Bytes that scheduler and workers take, and how many tasks are known."""
    import psutil

    def scheduler(dask_scheduler):
        import gc

        gc.collect()
        return psutil.Process().memory_info().rss, len(dask_scheduler.tasks)

    deadline = time.time() + 20
    size, tasks = client.run_on_scheduler(scheduler)
    while tasks and time.time() < deadline:
        time.sleep(0.1)
        size, tasks = client.run_on_scheduler(scheduler)
    time.sleep(1.2)  # the next heartbeats have been
    workers = client.scheduler_info()["workers"].values()
    return {
        "tasks": tasks,
        "scheduler": size,
        **{worker["name"]: worker["metrics"]["memory"] for worker in workers},
    }


def pages(client):
    """The dashboard's pages, and how each answers, after Rust workers have worked."""
    import urllib.error
    import urllib.request

    wait([rust(client, f"add {i}") for i in range(5)])
    port = client.scheduler_info()["services"]["dashboard"]

    def routes(dask_scheduler):
        from distributed.dashboard.scheduler import applications

        return sorted(applications)

    paths = [*client.run_on_scheduler(routes), "/info/main/workers.html", "/metrics", "/health"]
    statuses = {}
    for path in paths:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
                statuses[path] = answer.status
        except urllib.error.HTTPError as error:
            statuses[path] = error.code
    return statuses


def copies(client):
    """Replicas, scattered values and rebalancing among two workers."""
    future = rust(client, "add 1")
    wait(future)
    client.replicate([future])
    count = len(client.who_has([future])[future.key])
    scattered = client.scatter([1, 2, 3, 4], direct=False)
    scattered += client.scatter([5, 6], direct=True)
    total = rust(client, "add 0", *scattered).result()
    client.rebalance(scattered)
    again = client.gather(scattered)
    return [count, total, sum(again)]


def spilled(client, count, size):
    """More data than memory, all of it right; how much went to disk."""
    futures = [rust(client, f"bytes {size}") for _ in range(int(count))]
    wait(futures)
    spilled = 0
    deadline = time.time() + 20
    while not spilled and time.time() < deadline:
        workers = client.scheduler_info()["workers"].values()
        spilled = sum(worker["metrics"]["spilled_bytes"]["disk"] for worker in workers)
        time.sleep(0.05)
    lengths = [rust(client, "length", future) for future in futures]
    total = sum(client.gather(lengths))
    values = client.gather(futures)
    assert values == [b"\7" * int(size)] * int(count)
    return [total, spilled > 0]


def lent(client):
    """A task that lends its slot does not hold others up."""
    lent = rust(client, "lend 1500")
    others = client.gather([rust(client, "add 1") for _ in range(10)])
    return [sum(others), lent.status, lent.result()]


def logged(client):
    """An event that a task sent is there when its result is."""
    rust(client, "log news").result()
    return [message for _, message in client.get_events("news")]


def cancelled(client):
    """A cancelled task is cancelled at the worker as well."""
    running = rust(client, "sleep 1000", key="cancelled-one")
    while not any(client.processing().values()):
        time.sleep(0.01)
    running.cancel()
    return rust(client, "add 1").result()


if __name__ == "__main__":
    stock.main(globals())
