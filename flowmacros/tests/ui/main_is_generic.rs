#[flowcore::main]
async fn main<T>() {}
