//! Tasks as items: docs, visibility, `cfg`, patterns, functions, modules,
//! `crate = path`, names that could collide.

use flowcore::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Point {
    x: i64,
    y: (i64, i64),
}

#[derive(Clone, Serialize, Deserialize)]
struct Wrapper(i64);

#[task]
#[expect(clippy::toplevel_ref_arg, reason = "a pattern like any other")]
fn patterns(
    (a, b): (i64, i64),
    Point { x, y: (p, _) }: Point,
    Wrapper(inner): Wrapper,
    mut c: i64,
    [first, .., last]: [i64; 3],
    ref d: i64,
    _: i64,
) -> i64 {
    c += 1;
    a + b + x + p + inner + c + first + last + d
}

#[tokio::test]
async fn parameters_may_be_patterns() {
    let point = Point { x: 3, y: (4, 100) };
    let call = patterns((1, 2), point.clone(), Wrapper(5), 6, [7, 100, 8], 9, 100);
    assert_eq!(call.await.unwrap(), 46);
    let names = ["a_b", "x_p", "inner", "c", "first_last", "d", "argument_6"];
    assert_eq!(patterns.info().parameters, names);

    #[flow]
    async fn submitted(point: Point) -> Result<i64> {
        patterns
            .submit((1, 2), point, Wrapper(5), 6, [7, 100, 8], 9, 100)
            .await
    }
    assert_eq!(submitted(point).await.unwrap(), 46);
}

/// Adds one.
///
///     inc(1)
#[task]
fn documented(x: i64) -> i64 {
    x + 1
}

/// Sums up.
#[flow]
async fn documented_flow() {}

#[test]
fn doc_comments_are_descriptions() {
    let info = format!("{:?}", documented.info().options);
    assert!(
        info.contains(r#"description: "Adds one.\n\n    inc(1)""#),
        "{info}"
    );
    let options = &documented_flow.info().options;
    assert_eq!(options.description_in_force(), "Sums up.");
    assert_eq!(options.name_in_force(), "documented-flow");
}

mod nested {
    pub(super) mod tasks {
        #[flowcore::task]
        #[expect(unreachable_pub, reason = "the static is the function's item")]
        pub fn public(x: i64) -> i64 {
            private(x)
        }

        #[flowcore::task]
        pub(in super::super) fn restricted(x: i64) -> i64 {
            x * 10
        }

        fn private(x: i64) -> i64 {
            x + 1
        }
    }

    pub(super) use self::tasks::public as renamed;
}

#[flow]
async fn through_modules() -> Result<i64> {
    use nested::tasks::restricted;
    let a = nested::tasks::public.submit(1);
    let b = restricted.submit(a);
    nested::renamed.submit(b).await
}

#[tokio::test]
async fn tasks_live_in_modules() {
    assert_eq!(through_modules().await.unwrap(), 21);
    let key = "forms::items::nested::tasks::public";
    assert_eq!(nested::renamed.info().key, key);
}

#[tokio::test]
async fn tasks_and_flows_live_in_functions() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Local(i64);

    #[task]
    fn inner(x: Local) -> i64 {
        x.0 + 1
    }

    #[flow]
    async fn outer(x: i64) -> Result<i64> {
        inner.submit(Local(x)).await
    }

    assert_eq!(outer(1).await.unwrap(), 2);
}

#[task]
#[cfg(test)]
fn conditional() -> i64 {
    1
}

#[task]
#[cfg(not(test))]
fn conditional() -> i64 {
    missing_function()
}

#[cfg(not(test))]
#[task]
fn gone() -> i64 {
    missing_function()
}

#[task]
#[cfg_attr(not(test), cfg(not(test)))]
#[cfg_attr(test, doc = "Added by `cfg_attr`.")]
fn attributed() -> i64 {
    2
}

#[flow]
#[cfg(not(test))]
async fn gone_too() {
    missing_function();
}

#[tokio::test]
async fn conditions_hold_for_all_that_is_generated() {
    assert_eq!(conditional().await.unwrap(), 1);
    assert_eq!(attributed().await.unwrap(), 2);
}

#[deprecated(note = "use `documented`")]
#[task]
fn old(x: i64) -> i64 {
    x
}

#[task]
#[inline(never)]
#[must_use]
#[expect(
    clippy::needless_return,
    reason = "lints about the body stay with the body"
)]
fn carried(x: i64) -> i64 {
    return x;
}

#[tokio::test]
async fn other_attributes_reach_what_they_are_meant_for() {
    #[expect(deprecated, reason = "that uses of the task are warned of is the test")]
    let call = old(1);
    assert_eq!(call.await.unwrap(), 1);
    assert_eq!(carried(1).await.unwrap(), 1);
}

/// `flowcore` under another name, as a crate that wraps it would have it.
mod wrapper {
    pub(super) mod engine {
        pub(in super::super) use ::flowcore::*;
    }
}

#[flowcore::task(crate = wrapper::engine)]
fn elsewhere(x: i64) -> Result<i64, String> {
    x.checked_add(1).ok_or_else(|| "overflow".into())
}

#[flowcore::flow(crate = crate::items::wrapper::engine)]
async fn elsewhere_too(x: &str) -> Result<i64> {
    elsewhere.submit(x.len() as i64).await
}

#[tokio::test]
async fn the_crate_may_be_elsewhere() {
    assert_eq!(elsewhere_too("abc").await.unwrap(), 4);
}

#[task]
fn r#type(r#in: i64, r#mut: &str) -> i64 {
    r#in + r#mut.len() as i64
}

#[tokio::test]
async fn names_may_be_keywords() {
    assert_eq!(r#type(1, "ab").await.unwrap(), 3);
    assert_eq!(r#type.info().parameters, ["in", "mut"]);
    assert_eq!(r#type.info().function, "type");
}

/// Types that are called like traits and types of the engine.
mod homonyms {
    use flowcore::prelude::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub(super) struct Portable(pub(super) i64);

    #[derive(Clone, Debug, Serialize, Deserialize)]
    pub(super) struct Cloner;

    #[derive(Debug, Serialize, Deserialize)]
    pub(super) enum Option {
        Some,
        None,
    }

    #[derive(Debug)]
    pub(super) struct KnownError;

    impl std::fmt::Display for KnownError {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("known")
        }
    }

    #[task(task_run_name = "{bytes}-{self_}")]
    pub(super) fn bytes_of(
        bytes: &Portable,
        self_: Cloner,
        value: i64,
        error: i64,
        index: Option,
    ) -> Result<Portable, KnownError> {
        let Cloner = self_;
        match index {
            Option::Some => Ok(Portable(bytes.0 + value + error)),
            Option::None => Err(KnownError),
        }
    }
}

#[tokio::test]
async fn names_of_the_engine_are_free() {
    use homonyms::{Cloner, Option, Portable, bytes_of};
    let call = bytes_of(&Portable(1), Cloner, 2, 3, Option::Some);
    assert_eq!(call.await.unwrap().0, 6);
    let call = bytes_of(&Portable(1), Cloner, 2, 3, Option::None);
    assert_eq!(call.await.unwrap_err().to_string(), "known");
}

macro_rules! adders {
    ($($name:ident: $type:ty => $by:expr),+) => {$(
        #[task(retries = $by)]
        fn $name(x: $type) -> $type {
            x + $by
        }
    )+};
}

adders!(add_one: i64 => 1, add_two: u32 => 2);

#[tokio::test]
async fn macros_may_write_tasks() {
    assert_eq!(add_one(1).await.unwrap(), 2);
    assert_eq!(add_two(1).await.unwrap(), 3);
}

#[test]
fn keys_are_paths_of_functions() {
    assert_eq!(documented.info().key, "forms::items::documented");
    assert_eq!(documented.info().module, "forms::items");
    assert!(documented.info().file.ends_with("items.rs"));
    assert!(!documented.info().is_async);
    let keys: Vec<_> = flowcore::tasks()
        .unwrap()
        .iter()
        .map(flowcore::Definition::key)
        .collect();
    assert!(keys.contains(&"forms::items::documented"));
}

#[test]
fn fingerprints_are_those_of_code() {
    mod one {
        #[flowcore::task]
        pub(super) fn same(x: i64) -> i64 {
            x + 1
        }
    }
    mod two {
        /// With a comment, and formatted otherwise.
        #[rustfmt::skip]
        #[flowcore::task(retries = 3)]
        pub(super) fn same(x : i64) -> i64 { x+1 }
    }
    mod three {
        #[flowcore::task]
        pub(super) fn same(x: i64) -> i64 {
            x + 2
        }
    }
    let fingerprint = one::same.info().fingerprint;
    assert_eq!(two::same.info().fingerprint, fingerprint);
    assert_ne!(three::same.info().fingerprint, fingerprint);
}
