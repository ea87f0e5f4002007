// says: `main` takes no parameters: read the program's arguments with `std::env::args()`

#[flowcore::main]
async fn main(arguments: Vec<String>) {
    let _ = arguments;
}
