use flowcore::prelude::*;

#[flowcore::main]
async fn main() -> Result<()> {
    "done"
}
