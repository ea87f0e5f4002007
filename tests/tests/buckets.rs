//! Records in a bucket: S3's protocol, spoken by a server on the loopback.

use std::path::Path;

use flow_tests::python::{Environment, Requirements};
use serde::Deserialize;

const MOTO: Requirements = Requirements::new("moto", include_str!("../python/moto.txt"));

#[derive(Deserialize)]
struct Observed {
    runs: [Vec<String>; 2],
    keys: Vec<String>,
}

#[test]
fn records_lie_in_a_bucket_for_whoever_comes_later() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let environment = Environment::new(&MOTO).expect("Python and a package registry");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/bucket.py");
    let observed: Observed = environment
        .program(program)
        .argument(env!("CARGO_BIN_EXE_results_child"))
        .argument("settings")
        .argument(directory.path())
        .run_json()
        .unwrap_or_else(|error| panic!("{error}"));
    // `INPUTS` finds its record in the second process too; the other task's key
    // is of its flow run.
    let [first, second] = observed.runs;
    assert_eq!(first, ["Completed", "Cached", "Completed", "Cached"]);
    assert_eq!(second, ["Cached", "Cached", "Completed", "Cached"]);
    assert_eq!(observed.keys.len(), 3, "{:?}", observed.keys);
    for key in observed.keys {
        assert!(key.starts_with("nightly/"), "{key}");
    }
}
