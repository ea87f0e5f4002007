#[flowcore::main(signals = "none", signal = false)]
async fn main() {}
