"""What a stock client holds, reads and cancels beside a client of ours."""

from client import main
from distributed import Future


def fail(text):
    raise ValueError(text)


def values(client, *keys):
    """Reads values that somebody else holds."""
    answer = client.sync(client.scheduler.gather, keys=list(keys))
    return [answer["data"][key] for key in keys]


def publish_values(client, name):
    """Publishes two results."""
    futures = [client.submit(pow, 2, 10), client.submit(str.upper, "dask")]
    client.publish_dataset(futures, name=name)
    return [future.key for future in futures]


def publish_failure(client, name, text):
    """Publishes a task that fails whenever it runs."""
    future = client.submit(fail, text, pure=False)
    client.publish_dataset(future, name=name)
    return future.key


def publish_pending(client, name):
    """Publishes a task that no worker can run."""
    future = client.submit(pow, 2, 3, pure=False, resources={"NOWHERE": 1})
    client.publish_dataset(future, name=name)
    return future.key


def dataset(client, name):
    """The object that was published under a name."""
    return client.get_dataset(name)


def cancel(client, key, reason, message):
    """Cancels a key that others want."""
    future = Future(key, client)
    client.cancel(future, force=True, reason=reason, msg=message)


def log_event(client, topic, text):
    client.log_event(topic, {"text": text})


def tasks(client):
    """How many tasks the scheduler knows, and how many keys clients want."""

    def count(dask_scheduler):
        wanted = sum(len(other.wants_what) for other in dask_scheduler.clients.values())
        return len(dask_scheduler.tasks), wanted

    return client.run_on_scheduler(count)


def wishes(client, key):
    """What a task was submitted with, and what it depends on."""

    def look(key, dask_scheduler):
        task = dask_scheduler.tasks[key]
        return {
            "state": task.state,
            "retries": task.retries,
            "priority": task.priority[0],
            "resources": task.resource_restrictions,
            "annotations": task.annotations,
            "dependencies": sorted(other.key for other in task.dependencies),
        }

    return client.run_on_scheduler(look, key)


if __name__ == "__main__":
    main(globals())
