//! `map`.

use std::collections::{BTreeMap, BTreeSet};

use flowcore::prelude::*;

use super::{ValueError, add, bad, double, even, inc, numbers, text_of, total};
use crate::table::{Row, rows};

pub(super) const ROWS: &[Row] = rows![
    mapped_two_lists,
    mapped_lists_of_different_lengths,
    mapped_nothing_to_iterate,
    mapped_number_for_all_rows,
    mapped_text_for_all_rows,
    mapped_list_for_all_rows,
    mapped_keys_of_a_dictionary,
    mapped_set,
    mapped_generator,
    mapped_future_of_a_list,
    mapped_future_of_a_list_that_fails,
    mapped_futures,
    mapped_lists_of_futures,
    mapped_empty_list,
    mapped_future_for_all_rows,
    mapped_over_a_map,
    mapped_rows_of_which_some_fail,
    mapped_allowed_failures,
    mapped_after_a_failure,
    mapped_map_of_which_one_fails_as_argument,
];

#[flow]
async fn mapped_two_lists() -> Result<Vec<i64>> {
    add.map([1, 2], [10, 20]).await
}

#[flow]
async fn mapped_lists_of_different_lengths() -> Result<Vec<i64>> {
    add.map([1, 2], [1, 2, 3]).await
}

#[flow]
async fn mapped_nothing_to_iterate() -> Result<Vec<i64>> {
    add.map(unmapped(1), unmapped(2)).await
}

#[flow]
async fn mapped_number_for_all_rows() -> Result<Vec<i64>> {
    add.map([1, 2], unmapped(9)).await
}

#[task]
fn label(x: String, text: &str) -> String {
    format!("{text}{x}")
}

#[flow]
async fn mapped_text_for_all_rows() -> Result<Vec<String>> {
    label.map(["1", "2"], unmapped("ab")).await
}

#[task]
fn pick(x: usize, values: &[i64]) -> i64 {
    values[x]
}

#[flow]
async fn mapped_list_for_all_rows() -> Result<Vec<i64>> {
    pick.map([0, 1], unmapped(vec![7, 8])).await
}

#[flow]
async fn mapped_keys_of_a_dictionary() -> Result<Vec<String>> {
    let dictionary = BTreeMap::from([("k", 1)]);
    label
        .map(dictionary.keys().copied(), unmapped("key "))
        .await
}

#[flow]
async fn mapped_set() -> Result<Vec<i64>> {
    inc.map(BTreeSet::from([3])).await
}

#[flow]
async fn mapped_generator() -> Result<Vec<i64>> {
    inc.map([1, 2, 3].into_iter().map(|x| x * x)).await
}

#[flow]
async fn mapped_future_of_a_list() -> Result<Vec<i64>> {
    add.map(numbers.submit(3), unmapped(0)).await
}

#[task]
fn bad_list(x: i64) -> Result<Vec<i64>, ValueError> {
    bad.func(x).map(|x| vec![x])
}

#[flow]
async fn mapped_future_of_a_list_that_fails() -> Result<Vec<i64>> {
    inc.map(bad_list.with_options(|o| o.name("bad")).submit(1))
        .await
}

#[flow]
async fn mapped_futures() -> Result<Vec<i64>> {
    add.map([inc.submit(1), inc.submit(2)], unmapped(0)).await
}

#[flow]
async fn mapped_lists_of_futures() -> Result<Vec<i64>> {
    let lists = [vec![inc.submit(1), inc.submit(2)], vec![inc.submit(3)]];
    total.map(lists).await
}

#[flow]
async fn mapped_empty_list() -> Result<Vec<i64>> {
    inc.map(Vec::<i64>::new()).await
}

#[flow]
async fn mapped_future_for_all_rows() -> Result<Vec<i64>> {
    add.map([1, 2], unmapped(inc.submit(9))).await
}

#[flow]
async fn mapped_over_a_map() -> Result<i64> {
    let a = inc.map([1, 2]);
    let b = double.map([1, 2]);
    total.submit(add.map(a, b)).await
}

#[flow]
async fn mapped_rows_of_which_some_fail() -> Mapped<i64> {
    inc.map(even.map([1, 2, 3]))
}

#[flow]
async fn mapped_allowed_failures() -> Result<Vec<String>> {
    text_of.map(allow_failure(even.map([1, 2]))).await
}

#[flow]
async fn mapped_after_a_failure() -> Mapped<i64> {
    inc.after(bad.submit(1)).map([1, 2])
}

#[flow]
async fn mapped_map_of_which_one_fails_as_argument() -> Vec<TaskFuture<i64>> {
    vec![total.submit(even.map([1, 2]))]
}
