//! Programs whose runs all stand under one limit, with priorities.

use std::time::Duration;

use flowcore::{Scope, limits};

/// Runs a program in which only `slots` runs run at once, some of which are
/// more urgent than others. Ends when all slots have come back.
///
/// `limit` is the limit's name, of nobody else at the time.
pub async fn under_a_limit<T>(limit: &str, slots: u32, program: impl Future<Output = T>) -> T {
    limits().set(format!("tag:{limit}"), slots);
    let scope = Scope::new().tag(limit).task_options(|o| {
        let priority = o.name_in_force().len() % 3;
        o.priority(priority as i32 - 1)
    });
    let ended = scope.around(program).await;
    while limits().active_slots(format!("tag:{limit}")) != Some(0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    ended
}
