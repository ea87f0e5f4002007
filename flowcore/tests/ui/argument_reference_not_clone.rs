// says: this task argument wants `Connection`, or a future or state of `Connection`, but got `&Connection`
// says: a reference is passed as a clone, so its type must be `Clone`; nothing else is converted: convert first, such as with `.into()`, `as`, or for a list `.into_iter().map(..).collect()`

use flowcore::prelude::*;

struct Connection;

#[task(local)]
fn query(connection: Connection) -> i64 {
    let Connection = connection;
    1
}

#[flow]
async fn example() {
    let connection = Connection;
    let _ = query.submit(&connection);
}

fn main() {}
