// says: `#[flowcore::main]` goes on the function `main`

#[flowcore::main]
async fn start() {}

fn main() {}
