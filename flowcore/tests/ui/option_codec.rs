// says: `codec` is `message_pack` or `bincode`: `codec = bincode`; did you mean `bincode`?
// says: `codec` is `message_pack` or `bincode`: `codec = bincode`
// says: `codec` needs a value: `codec = bincode`
// says: the results of a `local` task are never written down, so they have no codec

use flowcore::prelude::*;

#[task(codec = bincod)]
fn misspelt() {}

#[task(codec = "bincode")]
fn text() {}

#[task(codec = pickle)]
fn unknown() {}

#[task(codec)]
fn without_value() {}

#[task(codec = bincode, local)]
fn local() {}

#[flow(codec = bincode)]
async fn of_a_flow() {}

fn main() {
    let _ = misspelt.with_options(|o| o.codec("bincode"));
}
