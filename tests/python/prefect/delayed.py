"""Asks for a run of a background task that nobody serves; prints its id."""

import json

from prefect import task


@task
def python_nobody(a, b):
    return a + b


print(json.dumps(str(python_nobody.delay(1, 2).task_run_id)))
