//! Resources: made once per process, shared by all runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowcore::prelude::*;
use flowcore::{ErrorKind, Resource};
use tokio::sync::Mutex;
use tokio::time::Interval;

use crate::support::{Bad, in_time, run};

/// Who was made when.
#[derive(Debug)]
struct Numbered(usize);

fn count(made: &AtomicUsize) -> Numbered {
    Numbered(made.fetch_add(1, Ordering::SeqCst) + 1)
}

#[task]
fn inc(x: i64) -> i64 {
    x + 1
}

static ONCE: Resource<Numbered> = Resource::new(|| {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    std::thread::sleep(std::time::Duration::from_millis(5));
    Ok(count(&MADE))
});

static ONCE_LATER: Resource<Numbered> = Resource::new_async(|| {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    Box::pin(async {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        Ok(count(&MADE))
    })
});

#[task]
fn uses_it(_x: i64) -> Result<usize> {
    Ok(ONCE.block()?.0 + ONCE_LATER.block()?.0)
}

#[task]
async fn uses_it_in_async_code(_x: i64) -> Result<usize> {
    Ok(ONCE.get().await?.0 + ONCE_LATER.get().await?.0)
}

#[flow]
async fn everybody_uses_it() -> Result<Vec<usize>> {
    let rows = uses_it.map(0..50);
    let others = uses_it_in_async_code.map(0..50);
    Ok([rows.await?, others.await?].concat())
}

#[test]
fn a_resource_is_made_once() {
    assert_eq!(run(everybody_uses_it()).unwrap(), vec![2; 100]);
    // Outside of runs and runtimes as well.
    assert_eq!(ONCE.block().unwrap().0, 1);
    assert_eq!(ONCE_LATER.block().unwrap().0, 1);
    assert_eq!(format!("{ONCE:?}"), "Resource(Numbered(1))");
}

static THIRD_TIME: Resource<Numbered> = Resource::new(|| {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    match count(&MADE) {
        Numbered(1) => Err(Bad::new("no connection").into()),
        Numbered(2) => panic!("no luck"),
        made => Ok(made),
    }
});

#[task]
fn needs_luck() -> Result<usize> {
    Ok(THIRD_TIME.block()?.0)
}

#[test]
fn a_resource_that_could_not_be_made_is_tried_again() {
    in_time(|| {
        assert_eq!(format!("{THIRD_TIME:?}"), "Resource(not made yet)");
        let error = needs_luck().block().unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("Numbered` could not be made: no connection"),
            "{text}"
        );
        assert_eq!(error.kind(), ErrorKind::Failed);
        assert_eq!(error.downcast_ref::<Bad>().unwrap().text, "no connection");
        let error = needs_luck().block().unwrap_err();
        assert!(error.to_string().contains("no luck"), "{error}");
        // It is there from now on; a retry is enough to get it.
        let patient = needs_luck.with_options(|o| o.retries(2));
        assert_eq!(patient().block().unwrap(), 3);
    });
}

static NEVER_AT_FIRST: Resource<Numbered> = Resource::new_async(|| {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    Box::pin(async {
        let made = count(&MADE);
        if made.0 == 1 {
            std::future::pending::<()>().await;
        }
        Ok(made)
    })
});

#[task]
async fn gets_it() -> Result<usize> {
    Ok(NEVER_AT_FIRST.get().await?.0)
}

#[test]
fn a_run_that_is_cancelled_leaves_the_making_to_others() {
    run(async {
        let hurried = gets_it.with_options(|o| o.timeout(std::time::Duration::from_millis(10)));
        assert_eq!(hurried().await.unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(gets_it().await.unwrap(), 2);
    });
}

/// Its making needs runs.
static NEEDS_RUNS: Resource<i64> =
    Resource::new_async(|| Box::pin(async { inc.submit(inc.submit(1)).await }));

#[task]
async fn waits_for_it(x: i64) -> Result<i64> {
    Ok(NEEDS_RUNS.get().await? + x)
}

#[task]
fn waits_in_sync_code(x: i64) -> Result<i64> {
    Ok(NEEDS_RUNS.block()? + x)
}

#[flow(task_runner = ThreadPoolTaskRunner::new().max_workers(1))]
async fn starved() -> Result<Vec<i64>> {
    let mut values = Vec::new();
    let (rows, others) = (waits_in_sync_code.map(0..3), waits_for_it.map(0..3));
    values.extend(rows.await?);
    values.extend(others.await?);
    Ok(values)
}

#[test]
fn a_small_pool_has_room_for_the_making() {
    assert_eq!(run(starved()).unwrap(), [3, 4, 5, 3, 4, 5]);
}

static ITSELF: Resource<Numbered> = Resource::new(|| Ok(Numbered(ITSELF.block()?.0 + 1)));

static CLIENT: Resource<Numbered> = Resource::new(|| Ok(Numbered(POOL.block()?.len())));

static POOL: Resource<String> =
    Resource::new_async(|| Box::pin(async { Ok(format!("{:?}", tokio::join!(LOG.get()).0?)) }));

static LOG: Resource<Vec<usize>> =
    Resource::new_async(|| Box::pin(async { Ok(vec![CLIENT.get().await?.0]) }));

#[test]
fn resources_that_need_each_other_are_an_error_that_names_them() {
    let itself = in_time(|| ITSELF.block().unwrap_err());
    let text = itself.root().to_string();
    let place = format!("({}:", file!());
    assert!(text.starts_with("resources need each other"), "{text}");
    assert_eq!(text.matches("Numbered` (").count(), 2, "{text}");
    assert_eq!(text.matches(&place).count(), 2, "{text}");

    let error = in_time(|| CLIENT.block().unwrap_err());
    let root = error.root().to_string();
    let parts: Vec<_> = root.split(" needs ").collect();
    assert!(
        matches!(&parts[..], [client, pool, log, again]
            if client.contains("Numbered` (") && pool.contains("String` (")
                && log.contains("Vec<usize>` (") && again.contains("Numbered` (")),
        "{root}"
    );
    // Each is named once more on the way up.
    let text = error.to_string();
    assert_eq!(text.matches("could not be made").count(), 3, "{text}");
}

/// Both are begun before either needs the other.
static BEGUN: AtomicUsize = AtomicUsize::new(0);

async fn both_have_begun() {
    BEGUN.fetch_add(1, Ordering::SeqCst);
    while BEGUN.load(Ordering::SeqCst) < 2 {
        tokio::task::yield_now().await;
    }
}

static LEFT: Resource<u8> = Resource::new_async(|| {
    Box::pin(async {
        both_have_begun().await;
        RIGHT.get().await.copied()
    })
});

static RIGHT: Resource<u8> = Resource::new_async(|| {
    Box::pin(async {
        both_have_begun().await;
        LEFT.get().await.copied()
    })
});

#[task]
async fn side(left: bool) -> Result<u8> {
    let wanted = if left { &LEFT } else { &RIGHT };
    wanted.get().await.copied()
}

#[flow]
async fn both_sides() -> Result<Vec<Result<u8>>> {
    side.map([true, false]).outcomes().await
}

#[test]
fn two_runs_that_make_what_the_other_needs_do_not_wait_for_ever() {
    for outcome in run(both_sides()).unwrap() {
        let root = outcome.unwrap_err().root().to_string();
        assert!(root.starts_with("resources need each other"), "{root}");
    }
}

/// A timer belongs to the runtime that it was made in.
static TICKS: Resource<Mutex<Interval>> = Resource::new_async(|| {
    let every = Duration::from_millis(1);
    Box::pin(async move { Ok(Mutex::new(tokio::time::interval(every))) })
});

#[test]
fn what_is_made_outlives_the_runtime_of_its_first_user() {
    let ticks = || async {
        let mut interval = TICKS.get().await.unwrap().lock().await;
        interval.tick().await;
        interval.tick().await;
    };
    // Each time in a runtime of its own, which ends.
    run(ticks());
    run(ticks());
}

static SLOWLY: [Resource<u8>; 3] = [
    Resource::new_async(|| Box::pin(slowly())),
    Resource::new_async(|| Box::pin(slowly())),
    Resource::new_async(|| Box::pin(slowly())),
];

async fn slowly() -> Result<u8> {
    tokio::time::sleep(Duration::from_millis(5)).await;
    Ok(7)
}

/// Blocks on a resource that the code beside it has begun to make.
async fn blocks_beside_the_maker(resource: &'static Resource<u8>) -> String {
    let (made, blocked) = tokio::join!(resource.get(), async { resource.block() });
    assert_eq!(*made.unwrap(), 7);
    assert_eq!(*resource.block().unwrap(), 7, "it is made now");
    let error = blocked.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    error.to_string()
}

#[test]
fn whoever_would_stop_the_maker_by_blocking_is_told() {
    let cure = "write `.get().await` here";
    let alone = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let text = in_time(move || alone().block_on(blocks_beside_the_maker(&SLOWLY[0])));
    assert!(text.contains(cure), "{text}");
    // One task of many threads cannot do both either.
    let text = in_time(|| {
        let many = tokio::runtime::Runtime::new().unwrap();
        let task = many.spawn(blocks_beside_the_maker(&SLOWLY[1]));
        many.block_on(task).unwrap()
    });
    assert!(text.contains(cure), "{text}");
    // Nobody makes it: a runtime with one thread may block.
    let made = in_time(move || alone().block_on(async { SLOWLY[2].block().copied() }));
    assert_eq!(made.unwrap(), 7);
}
