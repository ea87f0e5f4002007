//! What each operation gives.

use flowdask::dataframe::{
    How, asc, col, count, desc, lit, max, mean, min, nunique, std, sum, var,
};

use super::{day, values};

#[test]
fn computed_rows_stay_in_order() {
    let df = day().filter(col("x").gt(lit(0.0))).unwrap();
    let times = |df: &flowdask::dataframe::DataFrame| {
        df.compute_blocking().unwrap().texts("timestamp").unwrap()
    };
    assert!(times(&df).is_sorted());
    assert!(times(&df.persist_blocking().unwrap()).is_sorted());
    // One partition is not dealt out to threads either.
    assert!(
        times(
            &day()
                .repartition(1)
                .unwrap()
                .filter(col("x").gt(lit(0.0)))
                .unwrap()
        )
        .is_sorted()
    );
}

#[test]
fn sorted_rows_stay_sorted_through_what_follows() {
    let df = day()
        .sort([desc("x")])
        .unwrap()
        .filter(col("y").gt(lit(0.0)))
        .unwrap();
    let df = df
        .with_column("z", col("x") * lit(2.0))
        .unwrap()
        .select(["z", "name"])
        .unwrap();
    let z = df.compute_blocking().unwrap().floats("z").unwrap();
    assert!(z.iter().rev().is_sorted());
    assert_eq!(df.head_blocking(2).unwrap().floats("z").unwrap(), z[..2]);
    assert_eq!(
        df.tail_blocking(2).unwrap().floats("z").unwrap(),
        z[z.len() - 2..]
    );
    assert_eq!(
        df.persist_blocking()
            .unwrap()
            .compute_blocking()
            .unwrap()
            .floats("z")
            .unwrap(),
        z
    );
    let by_name = day()
        .sort([asc("name"), desc("id")])
        .unwrap()
        .compute_blocking()
        .unwrap();
    assert!(by_name.texts("name").unwrap().is_sorted());
}

#[test]
fn columns_come_and_go() {
    let df = day().with_column("x", col("x") + lit(1.0)).unwrap();
    assert_eq!(df.columns(), ["timestamp", "name", "id", "x", "y"]);
    let x = df.compute_blocking().unwrap().floats("x").unwrap();
    assert!(x.iter().all(|x| (0.0..2.0).contains(x)));
    let df = df
        .drop(["timestamp", "id"])
        .unwrap()
        .rename([("x", "y"), ("y", "x")])
        .unwrap();
    assert_eq!(df.columns(), ["name", "y", "x"]);
    let upper = values("select 1 as \"A b.c\", 2 as a");
    assert_eq!(
        upper
            .select(["A b.c"])
            .unwrap()
            .compute_blocking()
            .unwrap()
            .integers("A b.c")
            .unwrap(),
        [1]
    );
}

#[test]
fn groups_leave_out_rows_without_a_key_and_are_sorted() {
    let df = values(
        "select * from (values ('b', 1.0), ('a', 2.0), (null, 4.0), ('b', null), ('b', 5.0)) as t(k, v)",
    );
    let grouped = df
        .groupby(["k"])
        .agg([
            sum("v").alias("sum"),
            mean("v").alias("mean"),
            min("v"),
            max("v"),
            count("v"),
            nunique("v").alias("n"),
            std("v").alias("std"),
            var("v").alias("var"),
        ])
        .unwrap();
    assert_eq!(
        grouped.columns(),
        [
            "k", "sum", "mean", "v_min", "v_max", "v_count", "n", "std", "var"
        ]
    );
    let table = grouped.compute_blocking().unwrap();
    assert_eq!(
        table.texts("k").unwrap(),
        [Some("a".to_owned()), Some("b".to_owned())]
    );
    assert_eq!(table.floats("sum").unwrap(), [2.0, 6.0]);
    assert_eq!(table.floats("mean").unwrap(), [2.0, 3.0]);
    assert_eq!(table.integers("v_count").unwrap(), [1, 2]);
    assert_eq!(table.floats("var").unwrap()[1], 8.0);
    assert!(table.floats("std").unwrap()[0].is_nan());
}

#[test]
fn shortcuts_aggregate_each_column() {
    let groups = day().groupby(["name"]);
    for numbers in [
        groups.sum(),
        groups.mean(),
        groups.std(),
        groups.var(),
        groups.median(),
    ] {
        assert_eq!(numbers.unwrap().columns(), ["name", "id", "x", "y"]);
    }
    let by_id = day().groupby(["id"]);
    for all in [by_id.min(), by_id.max(), by_id.count(), by_id.nunique()] {
        assert_eq!(all.unwrap().columns(), ["id", "name", "x", "y"]);
    }
    let sizes = groups.size().unwrap().compute_blocking().unwrap();
    assert_eq!(sizes.integers("size").unwrap().iter().sum::<i64>(), 1440);
    let whole = day()
        .agg([count("x"), max("id")])
        .unwrap()
        .compute_blocking()
        .unwrap();
    assert_eq!(whole.num_rows(), 1);
    assert_eq!(whole.integers("x").unwrap(), [1440]);
}

#[test]
fn value_counts_are_the_most_frequent_first() {
    let df = values("select * from (values ('b'), ('a'), ('b'), (null), ('c')) as t(k)");
    let table = df.value_counts("k").unwrap().compute_blocking().unwrap();
    assert_eq!(
        table.to_string(),
        "   count\nk\nb      2\na      1\nc      1"
    );
}

#[test]
fn joins_of_all_kinds() {
    let left = values("select * from (values (1, 'a'), (2, 'b'), (3, 'c')) as t(k, v)");
    let right = values("select * from (values (2, 20), (3, 30), (3, 31), (4, 40)) as t(k, w)");
    let keys = |how| {
        let joined = left.join(&right, ["k"], how).unwrap();
        assert_eq!(joined.columns(), ["k", "v", "w"]);
        let table = joined.sort(["k", "w"]).unwrap().compute_blocking().unwrap();
        table.integers("k").unwrap()
    };
    assert_eq!(keys(How::Inner), [2, 3, 3]);
    assert_eq!(keys(How::Left), [1, 2, 3, 3]);
    assert_eq!(keys(How::Right), [2, 3, 3, 4]);
    assert_eq!(keys(How::Outer), [1, 2, 3, 3, 4]);
    let itself = left.join(&left, ["k"], How::Inner).unwrap();
    assert_eq!(itself.columns(), ["k", "v_x", "v_y"]);
    assert_eq!(itself.len_blocking().unwrap(), 3);
}

#[test]
fn a_query_may_join_frames() {
    let (a, b) = (day(), day().groupby(["name"]).mean().unwrap());
    let above = flowdask::dataframe::sql(
        "select count(*) as n from a join b on a.name = b.name where a.x > b.x",
        [("a", &a), ("b", &b)],
    );
    let n = above
        .unwrap()
        .compute_blocking()
        .unwrap()
        .integers("n")
        .unwrap()[0];
    assert!((600..840).contains(&n), "{n}");
}

#[test]
fn a_frame_may_be_a_hundred_operations_deep() {
    let mut df = day();
    for step in 0..100 {
        df = df.with_column("id", col("id") + lit(1)).unwrap();
        if step % 10 == 0 {
            df = df.filter(col("id").gt(lit(0))).unwrap();
        }
    }
    let ids = |df: &flowdask::dataframe::DataFrame| {
        df.compute_blocking().unwrap().integers("id").unwrap()
    };
    let expected: Vec<i64> = ids(&day()).iter().map(|id| id + 100).collect();
    assert_eq!(ids(&df), expected);
}
