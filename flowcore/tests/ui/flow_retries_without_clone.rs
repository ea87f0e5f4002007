// says: a flow with `retries` needs its arguments once for each attempt, and `Socket` is not `Clone`

use flowcore::prelude::*;

pub struct Socket;

#[flow(retries = 3, retry_delay = "1s")]
async fn example(days: u32, socket: Socket) -> u32 {
    drop(socket);
    days
}

fn main() {}
