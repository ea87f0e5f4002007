"""A flow that starts a program, with all that Prefect puts into the environment
of a run; prints what became of it as JSON.
"""

import json
import os
import subprocess
import sys

from prefect import flow
from prefect.runtime import flow_run


@flow
def starts_a_program(program: str) -> dict:
    run = str(flow_run.id)
    environment = {**os.environ, "PREFECT__FLOW_RUN_ID": run}
    done = subprocess.run([program], env=environment, capture_output=True, text=True)
    return {"run": run, "code": done.returncode, "output": done.stdout + done.stderr}


print(json.dumps(starts_a_program(sys.argv[1])))
