"""The flows of the table, as Prefect has them.

Each function below a `@row` is one row of the table. `tests/tests/prefect/` has
the same flows in Rust, under the same names, in the same order and cut into
chapters by the same lines. `observe.py` runs these and tells what became of
them.

Flows are named after their functions. What a flow shows of values and errors it
returns; states, messages and histories are read from the server.
"""

import asyncio
import threading
import time
from collections import defaultdict
from datetime import timedelta
from typing import Annotated

from prefect import allow_failure, flow, task, unmapped
from prefect.cache_policies import INPUTS, NO_CACHE
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.futures import as_completed, wait
from prefect.runtime import flow_run
from prefect.states import Cancelled, Cancelling, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import Field
from prefect.tasks import exponential_backoff
from prefect.transactions import CommitMode, transaction

TABLE = []


def row(function):
    """Adds a flow to the table."""
    TABLE.append(function)
    return function


@task
def inc(x):
    return x + 1


@task
def double(x):
    return x * 2


@task
def add(x, y):
    return x + y


@task
def total(values):
    return sum(values)


@task
def bad(x):
    raise ValueError(f"bad {x}")


@task
def even(x):
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


@task
def numbers(n):
    return list(range(n))


@task
def text_of(x):
    """What a task is given in place of a value."""
    return f"{type(x).__name__}: {x}" if isinstance(x, Exception) else str(x)


# --- What a flow returns decides its state -----------------------------------


@row
@flow
def returned_value():
    return 7


@row
@flow
def returned_nothing():
    pass


@row
@flow
def returned_future_that_completes():
    return inc.submit(1)


@row
@flow
def returned_future_that_fails():
    return bad.submit(1)


@row
@flow
def returned_state_that_completed():
    return inc(1, return_state=True)


@row
@flow
def returned_state_that_failed():
    return bad(1, return_state=True)


@row
@flow
def returned_list_that_completes():
    return [inc.submit(1), inc.submit(2)]


@row
@flow
def returned_list_with_one_that_fails():
    return [inc.submit(1), bad.submit(2)]


@row
@flow
def returned_tuple_of_futures():
    return inc.submit(1), double.submit(2)


@row
@flow
def returned_list_of_states():
    return [inc(1, return_state=True), bad(2, return_state=True)]


@row
@flow
def returned_map():
    return inc.map([1, 2, 3])


@row
@flow
def returned_map_with_rows_that_fail():
    return even.map([1, 2, 3])


@row
@flow
def returned_empty_list():
    return []


@row
@flow
def returned_value_beside_future_that_fails():
    return 1, bad.submit(1)


@row
@flow
def returned_state_that_failed_beside_value():
    return bad(1, return_state=True), 1


@row
@flow
def returned_dictionary_of_futures():
    return {"good": inc.submit(1), "bad": bad.submit(1)}


@row
@flow
def returned_run_that_never_started():
    first = bad.submit(1)
    return [inc.submit(1), first, inc.submit(first)]


@row
@flow
def returned_only_a_run_that_never_started():
    return [inc.submit(1), inc.submit(bad.submit(1))]


@row
@flow
def returned_completed_by_hand():
    return Completed(message="done", data=3)


@row
@flow
def returned_failed_by_hand():
    return Failed(message="no rows")


@row
@flow
def returned_cancelled_by_hand():
    return Cancelled(message="not today")


@row
@flow
def raised_exception():
    raise ValueError("no rows")


@row
@flow
def raised_exception_of_a_task():
    return bad(1) + 1


@row
@flow
def failed_task_that_nobody_asks():
    bad.submit(1).wait()
    return 1


@row
@flow
def failed_state_that_nobody_returns():
    state = bad(1, return_state=True)
    return state.message


# --- What a task returns decides its state -----------------------------------


@task
def completed_by_hand():
    return Completed(message="early", data=5)


@task
def failed_by_hand():
    return Failed(message="no rows")


@task
def cancelled_by_hand():
    return Cancelled(message="not today")


@row
@flow
def task_completed_by_hand():
    state = completed_by_hand(return_state=True)
    return inc.submit(state).result()


@row
@flow
def task_failed_by_hand():
    return [failed_by_hand.submit(), inc.submit(1)]


@row
@flow
def task_cancelled_by_hand():
    return [cancelled_by_hand.submit(), bad.submit(1), inc.submit(1)]


@row
@flow
def task_cancelled_by_hand_and_its_dependent():
    first = cancelled_by_hand.submit()
    return [first, inc.submit(first)]


@row
@flow
def task_failed_by_hand_and_asked():
    return failed_by_hand.submit().result()


@row
@flow
def task_cancelled_by_hand_and_asked():
    return cancelled_by_hand.submit().result()


@task
def broken():
    raise RuntimeError("boom")


@row
@flow
def panicked_task():
    return [broken.submit(), inc.submit(1)]


@row
@flow
def panicked_flow():
    raise RuntimeError("boom")


# --- Runs and what they wait for ---------------------------------------------


@row
@flow
def called_tasks():
    return add(inc(1), double(2))


@row
@flow
def chain():
    a = inc.submit(1)
    b = double.submit(a)
    c = add.submit(a, b)
    return c.result()


@row
@flow
def list_of_futures_as_argument():
    return total.submit([inc.submit(1), inc.submit(2)]).result()


@row
@flow
def list_of_futures_of_which_one_fails():
    return [total.submit([inc.submit(1), bad.submit(2)])]


@task
def joined(both):
    return f"{both[0]} and {both[1]}"


@row
@flow
def tuple_of_futures_as_argument():
    return joined.submit((inc.submit(1), text_of.submit(7))).result()


@row
@flow
def state_as_argument():
    return inc.submit(double(2, return_state=True)).result()


@row
@flow
def failed_state_as_argument():
    return [inc.submit(bad(2, return_state=True))]


@row
@flow
def dependents_of_a_failure():
    a = bad.submit(1)
    b = inc.submit(a)
    c = add.submit(1, b)
    return [a, b, c]


@row
@flow
def value_of_a_run_that_never_started():
    return inc.submit(bad.submit(1)).result()


@row
@flow
def waits_for():
    first = inc.submit(1)
    return [first, double.submit(2, wait_for=[first])]


@row
@flow
def waits_for_a_failure():
    first = bad.submit(1)
    return [first, double.submit(2, wait_for=[first])]


@row
@flow
def allowed_failure():
    return text_of.submit(allow_failure(bad.submit(1))).result()


@row
@flow
def allowed_failure_of_a_success():
    return text_of.submit(allow_failure(inc.submit(1))).result()


@row
@flow
def allowed_failure_of_a_run_that_never_started():
    return text_of.submit(allow_failure(inc.submit(bad.submit(1)))).result()


@row
@flow
def allowed_failure_to_wait_for():
    first = bad.submit(1)
    return [double.submit(2, wait_for=[allow_failure(first)])]


@row
@flow
def allowed_failure_of_a_cancelled_run():
    return [text_of.submit(allow_failure(cancelled_by_hand.submit()))]


@task
def calls_a_task(x):
    return inc(x) * 10


@task
def submits_a_task(x):
    return inc.submit(x).result() * 10


@task
def calls_a_task_that_fails(x):
    return bad(x)


@row
@flow
def task_that_calls_a_task():
    return calls_a_task.submit(1).result()


@row
@flow
def task_that_submits_a_task():
    return submits_a_task.submit(1).result()


@row
@flow
def task_that_calls_a_task_that_fails():
    return [calls_a_task_that_fails.submit(1)]


# --- map ---------------------------------------------------------------------


@row
@flow
def mapped_two_lists():
    return add.map([1, 2], [10, 20]).result()


@row
@flow
def mapped_lists_of_different_lengths():
    return add.map([1, 2], [1, 2, 3]).result()


@row
@flow
def mapped_nothing_to_iterate():
    return add.map(unmapped(1), unmapped(2)).result()


@row
@flow
def mapped_number_for_all_rows():
    return add.map([1, 2], 9).result()


@task
def label(x, text):
    return f"{text}{x}"


@row
@flow
def mapped_text_for_all_rows():
    return label.map([1, 2], "ab").result()


@task
def pick(x, values):
    return values[x]


@row
@flow
def mapped_list_for_all_rows():
    return pick.map([0, 1], unmapped([7, 8])).result()


@row
@flow
def mapped_keys_of_a_dictionary():
    return label.map({"k": 1}, "key ").result()


@row
@flow
def mapped_set():
    return inc.map({3}).result()


@row
@flow
def mapped_generator():
    return inc.map(x * x for x in [1, 2, 3]).result()


@row
@flow
def mapped_future_of_a_list():
    return add.map(numbers.submit(3), 0).result()


@row
@flow
def mapped_future_of_a_list_that_fails():
    return inc.map(bad.submit(1)).result()


@row
@flow
def mapped_futures():
    return add.map([inc.submit(1), inc.submit(2)], 0).result()


@row
@flow
def mapped_lists_of_futures():
    return total.map([[inc.submit(1), inc.submit(2)], [inc.submit(3)]]).result()


@row
@flow
def mapped_empty_list():
    return inc.map([]).result()


@row
@flow
def mapped_future_for_all_rows():
    return add.map([1, 2], unmapped(inc.submit(9))).result()


@row
@flow
def mapped_over_a_map():
    a = inc.map([1, 2])
    b = double.map([1, 2])
    return total.submit(add.map(a, b)).result()


@row
@flow
def mapped_rows_of_which_some_fail():
    return inc.map(even.map([1, 2, 3]))


@row
@flow
def mapped_allowed_failures():
    return text_of.map(allow_failure(even.map([1, 2]))).result()


@row
@flow
def mapped_after_a_failure():
    return inc.map([1, 2], wait_for=[bad.submit(1)])


@row
@flow
def mapped_map_of_which_one_fails_as_argument():
    return [total.submit(even.map([1, 2]))]


# --- Asking for values and waiting -------------------------------------------


EVENTS = defaultdict(threading.Event)


def tell(event):
    EVENTS[event].set()


@task
def held(event, value):
    """Gives the value when it is told to."""
    EVENTS[event].wait()
    return value


@task
def blocking_nap(seconds):
    time.sleep(seconds)


@row
@flow
def asked_for_a_failed_value():
    return bad.submit(1).result()


@row
@flow
def asked_for_a_failed_value_without_raising():
    return bad.submit(1).result(raise_on_failure=False)


@row
@flow
def asked_for_rows_of_which_one_fails():
    return even.map([2, 3, 4]).result()


@row
@flow
def asked_in_too_short_a_time():
    future = held.submit("go", 1)
    try:
        return future.result(timeout=0.01)
    except TimeoutError as error:
        tell("go")
        return str(error).replace(str(future.task_run_id), "ID")


@row
@flow
def waited_too_short():
    future = held.submit("go", 1)
    future.wait(timeout=0.01)
    early = future.state.is_final()
    tell("go")
    future.wait()
    return early, future.state.is_final()


@row
@flow
def waited_for_some():
    quick, slow = inc.submit(1), held.submit("go", 1)
    quick.wait()
    done, not_done = wait([quick, slow, quick], timeout=0.01)
    tell("go")
    return [future.result() for future in done], len(not_done)


@row
@flow
def taken_as_completed():
    values = []
    for future in as_completed([slow := held.submit("go", 1), inc.submit(1), slow]):
        values.append(future.result())
        tell("go")
    return values


@row
@flow
def taken_as_completed_in_too_short_a_time():
    runs = [held.submit("go", 1), inc.submit(1)]
    runs[1].wait()
    values = []
    try:
        for future in as_completed(runs, timeout=0.1):
            values.append(future.result())
    except TimeoutError as error:
        tell("go")
        return values, str(error)


# --- What a flow leaves behind ------------------------------------------------


@row
@flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
def left_behind_in_the_queue():
    blocking_nap.submit(1.0)
    double.submit(2)


@row
@flow(task_runner=ThreadPoolTaskRunner(max_workers=1))
def left_behind_by_an_exception():
    running = blocking_nap.submit(1.0)
    double.submit(2)
    running.wait(timeout=0.1)
    raise ValueError("enough")


# --- Cancellation -------------------------------------------------------------


@task
async def forever():
    tell("begun")
    await asyncio.sleep(60)


async def cancel_when_it_has_begun(call):
    call = asyncio.ensure_future(call)
    while not EVENTS["begun"].is_set():
        await asyncio.sleep(0.01)
    call.cancel()
    await asyncio.wait([call])


@row
@flow
async def call_dropped_halfway():
    await cancel_when_it_has_begun(forever())


@flow
async def waits_forever():
    await forever()


@row
@flow
async def subflow_dropped_halfway():
    await cancel_when_it_has_begun(waits_forever())


@flow
def cancelled_from_outside():
    first = held.submit("go", 1)
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, Cancelling())
    tell("go")
    return double.submit(first).result()


@row
@flow
def subflow_cancelled_from_outside():
    return cancelled_from_outside(return_state=True).name


# --- Limits -------------------------------------------------------------------


def limit(name, slots):
    with get_client(sync_client=True) as client:
        client.upsert_global_concurrency_limit_by_name(name, slots)


inside = most_inside = 0


def stay_inside():
    """What the tasks below do at most one at a time."""
    global inside, most_inside
    inside += 1
    most_inside = max(inside, most_inside)
    time.sleep(0.05)
    inside -= 1


@task(tags=["narrow"])
def tagged():
    stay_inside()


@row
@flow
def limited_by_tag():
    limit("tag:narrow", 1)
    wait([tagged.submit(), tagged.submit()])
    return most_inside


@task(tags=["closed"])
def locked_out():
    stay_inside()


@row
@flow
def limited_to_nothing():
    limit("tag:closed", 0)
    return [locked_out.submit()]


@task
def one_at_a_time():
    with concurrency("door", occupy=1):
        stay_inside()


@row
@flow
def limited_by_name():
    limit("door", 1)
    wait([one_at_a_time.submit(), one_at_a_time.submit()])
    return most_inside


# --- Hooks --------------------------------------------------------------------

HEARD = []


def hear(_, run, state):
    HEARD.append(state.name)


def hear_too(_, run, state):
    HEARD.append(f"{state.name} too")


def stumble(_, run, state):
    raise ValueError("a hook stumbled")


@task(on_running=[hear], on_completion=[hear, hear_too], on_failure=[hear])
def heard_even(x):
    return even.fn(x)


@row
@flow
def hooks_of_a_task_that_completes():
    heard_even.submit(2).wait()
    return HEARD


@row
@flow
def hooks_of_a_task_that_fails():
    heard_even.submit(1).wait()
    return HEARD


@row
@flow
def hooks_of_a_task_that_is_tried_again():
    heard_even.with_options(retries=1, retry_delay_seconds=0.01).submit(1).wait()
    return HEARD


@row
@flow
def hooks_of_a_task_that_never_starts():
    heard_even.submit(bad.submit(1)).wait()
    return HEARD


@row
@flow
def hooks_that_fail():
    bystander = inc.with_options(on_completion=[stumble, hear])
    state = bystander(1, return_state=True)
    return state.name, HEARD


@flow(on_running=[hear], on_completion=[hear], on_failure=[hear])
def heard_child(x):
    return even(x)


@row
@flow
def hooks_of_a_flow_that_completes():
    heard_child(2)
    return HEARD


@row
@flow
def hooks_of_a_flow_that_fails():
    heard_child(1, return_state=True)
    return HEARD


# --- Retries -----------------------------------------------------------------

CALLS = {}


def attempt(who):
    """How often this was called in the row."""
    CALLS[who] = CALLS.get(who, 0) + 1
    return CALLS[who]


@task(retries=2)
def good_at(wanted):
    this = attempt("good_at")
    if this < wanted:
        raise ValueError(f"attempt {this}")
    return this


@row
@flow
def retried_until_it_completes():
    return [good_at.submit(3)]


@row
@flow
def retried_in_vain():
    return [good_at.submit(9)]


@row
@flow
def retried_call():
    return good_at(2)


@row
@flow
def retried_after_a_delay():
    return [good_at.with_options(retry_delay_seconds=0.05).submit(2)]


@row
@flow
def retried_after_a_list_of_delays():
    return [good_at.with_options(retry_delay_seconds=[0.01, 0.05]).submit(3)]


@row
@flow
def retried_after_growing_delays():
    growing = exponential_backoff(backoff_factor=0.02)
    return [good_at.with_options(retry_delay_seconds=growing).submit(3)]


@row
@flow
def retried_after_spread_delays():
    spread = good_at.with_options(retry_delay_seconds=0.02, retry_jitter_factor=0.5)
    return [spread.submit(2)]


def says_first(task, run, state):
    try:
        state.result()
    except ValueError as error:
        return str(error) == "attempt 1"


def stumbles(task, run, state):
    raise ValueError("the condition stumbled")


@row
@flow
def retried_while_the_condition_holds():
    choosy = good_at.with_options(retry_condition_fn=says_first, retry_delay_seconds=0.01)
    return [choosy.submit(9)]


@row
@flow
def not_retried_when_the_condition_fails():
    return [good_at.with_options(retry_condition_fn=stumbles).submit(9)]


@task(retries=1)
def even_in_the_end(x):
    if attempt(f"even_in_the_end {x}") == 1 and x % 2:
        raise ValueError(f"{x} is odd")
    return x


@row
@flow
def retried_rows():
    return even_in_the_end.map([1, 2])


@task(retries=1)
def failed_by_hand_at_first():
    if attempt("failed_by_hand_at_first") == 1:
        return Failed(message="no rows")
    return 5


@row
@flow
def retried_state_made_by_hand():
    return [failed_by_hand_at_first.submit()]


@task(retries=2)
def cancelled_by_hand_at_first():
    if attempt("cancelled_by_hand_at_first") == 1:
        return Cancelled(message="not today")
    return 5


@row
@flow
def not_retried_when_cancelled():
    return [cancelled_by_hand_at_first.submit()]


@row
@flow
def not_retried_when_never_started():
    return [good_at.submit(bad.submit(1))]


# --- Caching ------------------------------------------------------------------


@task(cache_policy=INPUTS)
def counted(x):
    """How often this was called, not what it was called with."""
    return attempt("counted")


@row
@flow
def cached_by_inputs():
    return [counted.submit(x).result() for x in [1, 1, 2, 1]]


@row
@flow
def cached_calls():
    return counted(3), counted(3)


@row
@flow
def cached_rows():
    counted(4)
    return counted.map([4, 5]).result()


@flow
def child_with_a_cached_task():
    return counted(6)


@row
@flow
def cached_across_flow_runs():
    return child_with_a_cached_task(), child_with_a_cached_task()


@task(cache_policy=INPUTS - "verbose")
def counted_without(x, verbose):
    return attempt("counted_without")


@row
@flow
def cached_without_an_argument():
    return counted_without(11, False), counted_without(11, True)


@row
@flow
def cached_by_inputs_of_another_task():
    return counted(13), counted_without(13, True)


def key_of(context, parameters):
    return f"the key of {parameters['x']}"


@task(cache_key_fn=key_of)
def counted_by_key(x, y):
    return attempt("counted_by_key")


@row
@flow
def cached_by_a_key():
    return counted_by_key(1, 1), counted_by_key(1, 2), counted_by_key(2, 2)


def key_that_fails(context, parameters):
    raise ValueError("no key")


@task(cache_key_fn=key_that_fails)
def counted_without_key(x):
    return attempt("counted_without_key")


@row
@flow
def not_cached_when_the_key_fails():
    return counted_without_key(1), counted_without_key(1)


@row
@flow
def not_cached_when_it_failed():
    counted_even(12, return_state=True)
    return counted_even(12)


@task(cache_policy=INPUTS)
def counted_even(x):
    this = attempt("counted_even")
    return even.fn(this)


@task(cache_policy=NO_CACHE, persist_result=True)
def counted_always(x):
    return attempt("counted_always")


@row
@flow
def not_cached_by_policy():
    return counted_always(1), counted_always(1)


@task
def counted_by_default(x):
    return attempt("counted_by_default")


@row
@flow
def not_cached_unless_persisted():
    return counted_by_default(1), counted_by_default(1)


@row
@flow
def cached_within_the_flow_run_when_persisted():
    kept = counted_by_default.with_options(persist_result=True)
    return kept(1), kept(1)


@row
@flow
def cached_anew_when_refreshed():
    anew = counted.with_options(refresh_cache=True)
    return counted(7), anew(7), counted(7)


@row
@flow
def cached_until_it_expires():
    brief = counted.with_options(cache_expiration=timedelta(milliseconds=50))
    first = brief(8)
    time.sleep(0.3)
    return first, brief(8)


# --- Transactions -------------------------------------------------------------

def commit_room(txn):
    HEARD.append("commit room")


def free_room(txn):
    HEARD.append("free room")


def free_keys(txn):
    HEARD.append("free keys")


def commit_car(txn):
    HEARD.append("commit car")


def free_car(txn):
    HEARD.append("free car")


@task
def room(x):
    return x


room.on_commit(commit_room)
room.on_rollback(free_room)
room.on_rollback(free_keys)


@task
def car(x):
    return x


car.on_commit(commit_car)
car.on_rollback(free_car)


@row
@flow
def commit_hook_outside_of_transactions():
    room(1)
    HEARD.append("after")
    return HEARD


@row
@flow
def committed_transaction():
    with transaction():
        room(1)
        car(2)
        HEARD.append("before")
        inc(3)
    return HEARD


@row
@flow
def rolled_back_transaction():
    try:
        with transaction():
            room(1)
            car(2)
            inc(3)
            raise ValueError("no")
    except ValueError as error:
        HEARD.append(str(error))
    return HEARD


@row
@flow
def rolled_back_by_a_failure_that_is_caught():
    with transaction():
        room(1)
        bad(1, return_state=True)
        HEARD.append("caught")
    return HEARD


@row
@flow
def nested_transaction_that_commits():
    with transaction():
        room(1)
        with transaction():
            car(2)
        HEARD.append("outer")
    return HEARD


@row
@flow
def nested_transaction_that_is_rolled_back():
    try:
        with transaction():
            room(1)
            with transaction():
                car(2)
                room(3)
            raise ValueError("no")
    except ValueError:
        pass
    return HEARD


@row
@flow
def failure_in_a_nested_transaction():
    with transaction() as outer:
        room(1)
        try:
            with transaction():
                car(2)
                raise ValueError("no")
        except ValueError:
            pass
        HEARD.append(f"outer is rolled back: {str(outer.is_rolled_back()).lower()}")
    return HEARD


@row
@flow
def eager_transaction_in_one_that_is_rolled_back():
    try:
        with transaction():
            room(1)
            with transaction(commit_mode=CommitMode.EAGER):
                car(2)
            HEARD.append("after the eager one")
            raise ValueError("no")
    except ValueError:
        pass
    return HEARD


@row
@flow
def transaction_that_nobody_commits():
    with transaction(commit_mode=CommitMode.OFF):
        room(1)
    return HEARD


@row
@flow
def transaction_committed_by_hand():
    with transaction(commit_mode=CommitMode.OFF) as txn:
        room(1)
        txn.commit()
        HEARD.append(f"is committed: {str(txn.is_committed()).lower()}")
    return HEARD


@task
def books_and_fails(x):
    room(x)
    HEARD.append("booked")
    return bad(x)


@row
@flow
def task_in_a_task_that_fails():
    books_and_fails(1, return_state=True)
    return HEARD


@row
@flow
def submitted_tasks_in_a_transaction():
    try:
        with transaction():
            room.submit(1).result()
            car.map([2, 3]).result()
            raise ValueError("no")
    except ValueError:
        pass
    return HEARD


def tell_value(txn):
    HEARD.append(f"place {txn.get('place')}")


@task
def place(x):
    return x


place.on_commit(tell_value)


@row
@flow
def values_of_transactions():
    with transaction() as txn:
        txn.set("place", 1)
        with transaction() as inner:
            HEARD.append(f"inner {inner.get('place')}")
            inner.set("place", 2)
            place(0)
        HEARD.append(f"outer {txn.get('place')}")
        place(0)
    return HEARD


def cannot_commit(txn):
    HEARD.append("cannot commit")
    raise ValueError("no")


@task
def uncommittable(x):
    return x


uncommittable.on_commit(cannot_commit)
uncommittable.on_rollback(free_car)


@row
@flow
def commit_hook_that_fails():
    with transaction():
        uncommittable(1)
        room(2)
    return HEARD


# The key is of the inputs alone, whatever the task: nobody else has this one.
@task(cache_policy=INPUTS)
def counted_in_transactions(x):
    return attempt("counted_in_transactions")


@row
@flow
def records_of_a_transaction():
    values = []
    try:
        with transaction():
            values.append(counted_in_transactions(4711))
            raise ValueError("no")
    except ValueError:
        pass
    with transaction():
        values.append(counted_in_transactions(4711))
        values.append(counted_in_transactions(4711))
    values.append(counted_in_transactions(4711))
    return values


# --- Timeouts ----------------------------------------------------------------


@task(timeout_seconds=0.1)
async def slow():
    await asyncio.sleep(60)


@row
@flow
async def timed_out_task():
    first = slow.submit()
    first.wait()
    return [first, inc.submit(first)]


@row
@flow
async def timed_out_call():
    return await slow()


@task(timeout_seconds=0.2, retries=1)
async def slow_at_first():
    if attempt("slow_at_first") == 1:
        await asyncio.sleep(60)
    return 5


@row
@flow
async def timed_out_and_retried():
    first = slow_at_first.submit()
    first.wait()
    return [first]


@row
@flow(timeout_seconds=0.2)
async def timed_out_flow():
    await asyncio.sleep(60)


# --- Flows in flows ----------------------------------------------------------


@flow
def child(x):
    return inc(x) * 10


@flow
def child_that_fails(x):
    return bad(x)


@flow
def child_that_returns_a_future(x):
    return inc.submit(x)


@row
@flow
def subflow():
    return child(1) + 1


@row
@flow
def subflow_that_fails():
    return child_that_fails(1)


@row
@flow
def subflow_that_fails_and_is_forgiven():
    return child_that_fails(1, return_state=True).name


@row
@flow
def subflow_whose_state_is_returned():
    return child_that_fails(1, return_state=True)


@row
@flow
def subflow_whose_value_goes_on():
    return double.submit(child(1)).result()


@task
def calls_a_flow(x):
    return child(x) + 1


@row
@flow
def subflow_in_a_task():
    return calls_a_flow.submit(1).result()


@flow
def checked_child(
    days: Annotated[int, Field(gt=0)], name: Annotated[str, Field(min_length=1)]
):
    return inc(days)


@row
@flow
def subflow_with_invalid_parameters():
    return checked_child(0, "")


@row
@flow
def subflow_with_valid_parameters():
    return checked_child(1, "a")


# --- Retries of flows --------------------------------------------------------


def good_at_attempt(wanted):
    this = attempt("a flow")
    if this < wanted:
        raise ValueError(f"attempt {this}")
    return this


@row
@flow(retries=2)
def flow_retried_until_it_completes():
    return good_at_attempt(3)


@row
@flow(retries=2)
def flow_retried_in_vain():
    return good_at_attempt(9)


@row
@flow(retries=1, retry_delay_seconds=1)
def flow_retried_after_a_delay():
    return good_at_attempt(2)


@row
@flow(retries=1)
def flow_retried_with_its_tasks():
    first = inc.submit(1).result()
    return first + good_at_attempt(2)


@task(retries=1)
def good_the_fourth_time():
    this = attempt("good_the_fourth_time")
    if this < 4:
        raise ValueError(f"time {this}")
    return this


@row
@flow(retries=1)
def flow_retried_whose_task_is_retried():
    return good_the_fourth_time.submit().result()


@row
@flow(retries=1, timeout_seconds=0.2)
async def flow_retried_when_it_takes_too_long():
    if attempt("a slow flow") == 1:
        await asyncio.sleep(60)
    return 5


@row
@flow(retries=1)
def flow_retried_when_returned_runs_failed():
    return [even.submit(attempt("a flow"))]


@row
@flow(retries=2)
def flow_retried_when_cancelled_by_hand():
    return Cancelled(message="not today")


@task
def counted_once():
    return attempt("counted_once")


@row
@flow(retries=1, persist_result=True)
def flow_retried_finds_results():
    first = counted_once.submit().result()
    return first * 10 + good_at_attempt(2)


@flow(retries=1)
def retried_child(wanted):
    return good_at_attempt(wanted)


@row
@flow
def flow_retried_in_a_flow():
    return retried_child(2) + 1


@row
@flow
def flow_retried_in_a_flow_in_vain():
    return retried_child(9)


@flow
def child_that_succeeds_once():
    return bad(1) if attempt("child_that_succeeds_once") == 1 else inc(1)


@row
@flow(retries=1)
def flow_retried_with_a_subflow():
    return child_that_succeeds_once()


# --- Names -------------------------------------------------------------------


@task(name="fetch page", task_run_name="fetch {url}, {depth}")
def fetch(url, depth):
    return f"{depth} below {url}"


@flow(flow_run_name="visit {url}")
def visit(url):
    fetch.submit(url, 1).wait()
    return fetch(url, 2)


@row
@flow(flow_run_name="crawl")
def named_by_templates():
    return visit("a.org")


@row
@flow
def named_by_options():
    return [inc.with_options(name="next", task_run_name="next of {x}").submit(1)]
