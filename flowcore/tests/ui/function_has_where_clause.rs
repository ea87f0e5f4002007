// says: a flow cannot have a `where` clause: it is not generic; remove it

use flowcore::prelude::*;

#[flow]
async fn length(text: String) -> usize
where
    String: Clone,
{
    text.len()
}

fn main() {}
