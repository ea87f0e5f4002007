// says: a flow must return: `!` has no value; remove `-> !`

use flowcore::prelude::*;

#[flow]
async fn serve() -> ! {
    loop {}
}

fn main() {}
