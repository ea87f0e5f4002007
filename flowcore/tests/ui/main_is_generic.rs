// says: `main` cannot be generic

#[flowcore::main]
async fn main<T>() {}
