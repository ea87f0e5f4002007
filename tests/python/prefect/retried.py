"""Runs a flow that fails in its attempts before the one of the argument."""

import json
import sys

from prefect import flow
from prefect.runtime import flow_run


@flow(retries=2, retry_delay_seconds=1)
def retried_in_python(good_at):
    attempt = flow_run.run_count
    if attempt < good_at:
        raise RuntimeError(f"attempt {attempt}")
    return attempt


state = retried_in_python(int(sys.argv[1]), return_state=True)
print(json.dumps(state.name))
