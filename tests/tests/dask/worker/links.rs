//! A link that can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;

/// Passes on everything to another port, until it is cut. It has a thread of
/// its own: the test's one is blocked while a script runs.
pub(super) struct Link {
    address: String,
    orders: watch::Sender<Order>,
    connections: Arc<AtomicUsize>,
}

#[derive(Clone, Copy, PartialEq)]
enum Order {
    PassOn,
    /// What is connected, so many times by now.
    Cut(usize),
    End,
}

impl Link {
    /// A link to a `tcp://` address.
    pub(super) fn to(address: &str) -> Self {
        let target = address.strip_prefix("tcp://").unwrap().to_owned();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let (orders, order) = watch::channel(Order::PassOn);
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let mut end = order.clone();
                tokio::select! {
                    _ = end.wait_for(|order| *order == Order::End) => {}
                    () = accept(&listener, &target, &order, &count) => {}
                }
            });
        });
        Self {
            address,
            orders,
            connections,
        }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Cuts all connections; new ones come about.
    pub(super) fn cut(&self) {
        self.orders.send_replace(Order::Cut(self.connections()));
    }

    /// Cuts all connections, for good.
    pub(super) fn end(&self) {
        self.orders.send_replace(Order::End);
    }

    /// How many connections there have been.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn accept(
    listener: &TcpListener,
    target: &str,
    order: &watch::Receiver<Order>,
    count: &AtomicUsize,
) {
    while let Ok((mut near, _)) = listener.accept().await {
        count.fetch_add(1, Ordering::Relaxed);
        let (target, mut order) = (target.to_owned(), order.clone());
        tokio::spawn(async move {
            order.mark_unchanged();
            if let Ok(mut far) = TcpStream::connect(target).await {
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                    _ = order.changed() => {}
                }
            }
        });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end();
    }
}
