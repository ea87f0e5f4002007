"""Runs the flows of the table with Prefect and tells what became of them.

    observe.py PART SHARE SHARES

Only flows whose names contain the part are run; an empty one is in all of them.
Of those, SHARE (from 0) of so many SHARES: every SHARES-th one.
They are told to the server of `PREFECT_API_URL`, which knows of no others. The
last line on standard output is a JSON list with one object for each row: its
name, and lines of a label and a text, which `tests/tests/prefect/` writes in the
same words for ours.
"""

import asyncio
import inspect
import json
import re
import sys
import time
import types

import flows
import prefect.client.base
from prefect import flow, task
from prefect.client.orchestration import get_client
from prefect.context import SyncClientContext
from prefect.events.worker import EventsWorker
from prefect.futures import PrefectFuture
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import State

PATIENCE = 300


def gives(function):
    """What the call of a flow gives, as text."""
    try:
        value = function()
        if inspect.isawaitable(value):
            value = asyncio.run(until(value))
    except BaseException as error:
        return f"raises {named(error)}"
    return text_of(value)


async def until(value):
    return await value


def named(error):
    return f"{type(error).__name__}: {error}"


def text_of(value):
    """A value as the table shows it: JSON, and states as they print."""
    if isinstance(value, PrefectFuture):
        value = value.state
    if isinstance(value, State):
        return state_text(value.name, value.message, value.type.value)
    if isinstance(value, BaseException):
        return named(value)
    if isinstance(value, dict):
        items = (f"{json.dumps(key)}: {text_of(value[key])}" for key in sorted(value))
        return "{" + ", ".join(items) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return json.dumps(value)


def state_text(name, message, kind):
    parts = [json.dumps(message, ensure_ascii=False)] if message else []
    if name.upper() != kind:
        parts.append(f"type={kind}")
    return f"{name}({', '.join(parts)})"


class Server:
    """What the server knows of all runs."""

    def __init__(self, client):
        self.client = client

    def ask(self, path, **body):
        answer = self.client.request("POST", path, json=body)
        answer.raise_for_status()
        return answer.json()

    def all(self, kind):
        """All runs of a kind, oldest first."""
        runs = []
        while True:
            page = self.ask(
                f"/{kind}s/filter", sort="ID_DESC", limit=200, offset=len(runs)
            )
            runs += page
            if len(page) < 200:
                return runs[::-1]

    def history(self, kind, run):
        kind = kind.lower().replace(" ", "_")
        answer = self.client.request(
            "GET", f"/{kind}_states/", params={f"{kind}_id": run["id"]}
        )
        answer.raise_for_status()
        return [
            state_text(state["name"], state["message"], state["type"])
            for state in answer.json()
        ]

    def wait_until_recorded(self):
        """Events of task runs are recorded in order, some time later."""

        @task
        def last():
            pass

        @flow
        def end():
            last()

        end()
        EventsWorker.drain_all()
        name = re.compile("last-...")
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            runs = [run for run in self.all("task_run") if name.fullmatch(run["name"])]
            if any(run["state_name"] == "Completed" for run in runs):
                return
            time.sleep(0.05)
        raise TimeoutError("the server has not recorded all states")


def observe():
    """The rows with what was given."""
    part, share, shares = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    wanted = [row for row in flows.TABLE if part in row.fn.__name__]
    rows = []
    for row in wanted[share::shares]:
        flows.CALLS.clear()
        flows.EVENTS.clear()
        flows.HEARD.clear()
        rows.append({"name": row.fn.__name__, "lines": [["gives", gives(row)]]})
    return rows


def describe(server, rows):
    """Adds to the rows what the server knows of their runs."""
    lines = {row["name"].replace("_", "-"): row["lines"] for row in rows}
    flow_names = {flow["id"]: flow["name"] for flow in server.ask("/flows/filter")}
    flow_runs = {run["id"]: run for run in server.all("flow_run")}
    task_runs = {run["id"]: run for run in server.all("task_run")}

    def row_of(run):
        parent = task_runs.get(run["parent_task_run_id"])
        if parent is None:
            return flow_names[run["flow_id"]]
        return row_of(flow_runs[parent["flow_run_id"]])

    def readable(text):
        """Runs by their names, where Prefect has ids."""
        for run in re.findall("[0-9a-f]{8}-[0-9a-f-]{27}", text):
            if run in task_runs:
                text = text.replace(run, task_runs[run]["name"])
        return text

    placeholders = {run["parent_task_run_id"] for run in flow_runs.values()}
    for kind, runs in ("Flow run", flow_runs), ("Task run", task_runs):
        for run in runs.values():
            if run["id"] in placeholders:
                continue
            of = run if kind == "Flow run" else flow_runs[run["flow_run_id"]]
            row = lines.get(row_of(of))
            if row is None:
                continue  # the one that was waited for
            label = f"{kind} {run['name']} of {flow_names[of['flow_id']]}"
            history = server.history(kind, run)
            if kind == "Flow run" and history == ["Pending()"]:
                continue  # asked for twice: see `wait_less_for_the_database`
            row.append([label, " → ".join(history)])
    for row in lines.values():
        row[:] = [[label, readable(text)] for label, text in row]


def wait_less_for_the_database():
    """A server on SQLite refuses a request (503) that wants to write while it
    records a task run. The client asks again, two seconds later: most of the
    time of most rows, and for nothing.

    When the flow run was made before the server refused, there are two: one of
    them stays Pending for ever.
    """
    shorter = types.SimpleNamespace(**vars(time))
    shorter.sleep = lambda seconds: time.sleep(seconds / 20)
    prefect.client.base.time = shorter


def main():
    wait_less_for_the_database()
    # Each run would wait up to a second for the end of its heartbeat.
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        # One client for all: each would load the system's certificates.
        with SyncClientContext.get_or_create():
            rows = observe()
        with get_client(sync_client=True) as client:
            server = Server(client)
            server.wait_until_recorded()
            describe(server, rows)
    print(json.dumps(rows))


main()
