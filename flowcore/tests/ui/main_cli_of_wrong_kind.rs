// says: `#[flowcore::main]` has no option `clap`: write `cli`
// says: `cli` is a word of its own: `cli`

#[flowcore::main(clap, cli = "run")]
async fn main() {}
