use flowcore::prelude::*;

#[flow]
async fn serve() -> ! {
    loop {}
}

fn main() {}
