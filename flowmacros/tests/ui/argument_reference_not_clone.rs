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
