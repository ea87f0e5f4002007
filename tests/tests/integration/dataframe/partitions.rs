//! Partitions: how many, which rows, in which order.

use flowdask::dataframe::{col, lit};

use super::day;

#[test]
fn repartition_keeps_rows_and_order_of_a_source() {
    let expected = day().compute_blocking().unwrap().to_json().unwrap();
    for df in [day(), day().persist_blocking().unwrap()] {
        for count in [1, 2, 7, 24, 100, 2000] {
            let df = df.repartition(count).unwrap();
            assert_eq!(df.npartitions(), count);
            assert_eq!(
                df.compute_blocking().unwrap().to_json().unwrap(),
                expected,
                "{count}"
            );
            let kept = df.persist_blocking().unwrap();
            assert_eq!(kept.npartitions(), count);
            assert_eq!(kept.len_blocking().unwrap(), 1440);
        }
    }
}

#[test]
fn repartition_of_other_frames_keeps_all_rows() {
    let df = day().filter(col("x").gt(lit(0.0))).unwrap();
    let rows = df.len_blocking().unwrap();
    let three = df.repartition(3).unwrap();
    assert_eq!(three.npartitions(), 3);
    assert_eq!(three.len_blocking().unwrap(), rows);
    let kept = three.persist_blocking().unwrap();
    assert_eq!(
        (kept.npartitions(), kept.len_blocking().unwrap()),
        (3, rows)
    );
}

#[test]
fn a_persisted_frame_says_what_it_takes_and_is_not_persisted_twice() {
    let df = day();
    assert_eq!(df.memory_usage(), None);
    let kept = df.persist_blocking().unwrap();
    assert_eq!(kept.npartitions(), 24);
    assert_eq!(kept.memory_usage(), Some(1440 * 33));
    assert_eq!(
        kept.persist_blocking().unwrap().memory_usage(),
        kept.memory_usage()
    );
    assert_eq!(
        kept.repartition(5)
            .unwrap()
            .persist_blocking()
            .unwrap()
            .npartitions(),
        5
    );
    let some = kept
        .filter(col("x").gt(lit(0.0)))
        .unwrap()
        .persist_blocking()
        .unwrap();
    assert_eq!(some.npartitions(), 24);
}

#[test]
fn the_ends_of_a_frame() {
    let all = day().compute_blocking().unwrap().to_json().unwrap();
    for count in [0, 1, 61, 1440, 5000] {
        let from_end = 1440usize.saturating_sub(count);
        assert_eq!(
            day().head_blocking(count).unwrap().to_json().unwrap(),
            all[..count.min(1440)]
        );
        assert_eq!(
            day().tail_blocking(count).unwrap().to_json().unwrap(),
            all[from_end..]
        );
    }
}
