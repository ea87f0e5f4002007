//! Links that break in the middle of a message, or carry something else.

use flow_tests::dask::{Calculator, Scheduler};

use super::{ask, builder, worker};
use crate::link::{Damage, Link};

const DAMAGES: [Damage; 2] = [Damage::Cut, Damage::Garbage];

/// A value is asked for again, or made again.
#[tokio::test]
async fn a_link_between_workers_breaks_in_the_middle_of_a_value() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let _alice = worker(&scheduler, Calculator::new(), "alice").await;
    // What others reach the worker by leads to where it listens.
    let port = free_port();
    let link = Link::to(&format!("tcp://127.0.0.1:{port}"));
    let _bob = builder(scheduler.address(), Calculator::new(), "bob")
        .port(port)
        .contact_address(link.address())
        .start()
        .await
        .expect("a worker");
    for (number, damage) in DAMAGES.into_iter().enumerate() {
        let () = ask(&scheduler, "hold", &["bytes 5000000", "bob"]);
        link.damage_after(1_000_000, damage);
        let length: i64 = ask(&scheduler, "length_of_held", &["alice"]);
        assert_eq!(length, 5_000_000);
        assert_eq!(link.damages(), number + 1, "the value took another way");
    }
}

/// The worker comes back with a fresh state.
#[tokio::test]
async fn the_link_to_the_scheduler_breaks_in_the_middle_of_a_message() {
    let scheduler = Scheduler::start().expect("a scheduler");
    let link = Link::to(scheduler.address());
    let _alice = builder(link.address(), Calculator::new(), "alice")
        .start()
        .await
        .expect("a worker");
    for (number, damage) in DAMAGES.into_iter().enumerate() {
        // In the lengths in front of a message, whichever it is.
        link.damage_after(11, damage);
        let results: Vec<i64> = ask(&scheduler, "chain", &[]);
        assert_eq!(results, [1, 3, 6]);
        assert_eq!(link.damages(), number + 1);
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
