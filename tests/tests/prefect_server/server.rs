//! The servers that everything else here stands on.

use flow_tests::prefect::Server;
use serde_json::json;

#[test]
fn the_shared_server_answers_and_knows_nothing_of_other_homes() {
    let server = Server::shared();
    assert_eq!(server.get("/admin/version"), json!("3.8.8"));
    let flow = server.post("/flows/", &json!({"name": "asked-for-in-a-test"}));
    let found = server.all(
        "flows",
        &json!({"flows": {"name": {"any_": ["asked-for-in-a-test"]}}}),
    );
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["id"], flow["id"]);
    assert_eq!(server.request("GET", "/no-such-path", None).status, 404);
}

#[test]
fn a_killed_server_comes_back_with_what_it_knew() {
    let mut server = Server::start().unwrap_or_else(|error| panic!("{error}"));
    let flow = server.post("/flows/", &json!({"name": "kept"}));
    server.kill().expect("the server ends");
    server.restart().unwrap_or_else(|error| panic!("{error}"));
    let path = format!("/flows/{}", flow["id"].as_str().expect("an id"));
    assert_eq!(server.get(&path)["name"], json!("kept"));
}
