#[flowcore::main]
struct Main;

fn main() {}
