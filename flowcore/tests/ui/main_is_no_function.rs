// says: `#[flowcore::main]` goes on `async fn main()` or `fn main()`

#[flowcore::main]
struct Main;

fn main() {}
