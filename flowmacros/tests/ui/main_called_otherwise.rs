#[flowcore::main]
async fn start() {}

fn main() {}
