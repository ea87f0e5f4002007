//! A link between two peers that can be cut and damaged.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::watch;

/// Passes on everything to another port, until it is cut or does damage. It has
/// a thread of its own: the test's one is blocked while a script runs.
pub(crate) struct Link {
    address: String,
    orders: watch::Sender<Order>,
    shared: Arc<Shared>,
}

/// What the connections of a link have in common.
#[derive(Default)]
struct Shared {
    connections: AtomicUsize,
    damage: Mutex<Option<(usize, Damage)>>,
    damages: AtomicUsize,
}

/// What happens to a connection, once.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Damage {
    /// It ends.
    Cut,
    /// Other bytes come, and then it ends.
    Garbage,
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
    pub(crate) fn to(address: &str) -> Self {
        let target = address.strip_prefix("tcp://").unwrap().to_owned();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let (orders, order) = watch::channel(Order::PassOn);
        let shared = Arc::new(Shared::default());
        let its_shared = Arc::clone(&shared);
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                let mut end = order.clone();
                tokio::select! {
                    _ = end.wait_for(|order| *order == Order::End) => {}
                    () = accept(&listener, &target, &order, &its_shared) => {}
                }
            });
        });
        Self {
            address,
            orders,
            shared,
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Cuts all connections; new ones come about.
    pub(crate) fn cut(&self) {
        self.orders.send_replace(Order::Cut(self.connections()));
    }

    /// Cuts all connections, for good.
    pub(crate) fn end(&self) {
        self.orders.send_replace(Order::End);
    }

    /// Does damage once, when so many more bytes have come from the target.
    pub(crate) fn damage_after(&self, bytes: usize, damage: Damage) {
        *lock(&self.shared.damage) = Some((bytes, damage));
    }

    /// How often it has done damage.
    pub(crate) fn damages(&self) -> usize {
        self.shared.damages.load(Ordering::Relaxed)
    }

    /// How many connections there have been.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

/// What a panic leaves behind is whole: single assignments.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(
    listener: &TcpListener,
    target: &str,
    order: &watch::Receiver<Order>,
    shared: &Arc<Shared>,
) {
    while let Ok((near, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let target = target.to_owned();
        let (mut order, shared) = (order.clone(), Arc::clone(shared));
        tokio::spawn(async move {
            order.mark_unchanged();
            if let Ok(far) = TcpStream::connect(target).await {
                let (mut near_reader, mut near_writer) = near.into_split();
                let (mut far_reader, mut far_writer) = far.into_split();
                // The first end ends both ways, as that of a cable does.
                tokio::select! {
                    _ = tokio::io::copy(&mut near_reader, &mut far_writer) => {}
                    _ = pass_on(&mut far_reader, &mut near_writer, &shared) => {}
                    _ = order.changed() => {}
                }
            }
        });
    }
}

/// Passes on until the order to do damage comes, and then does it.
async fn pass_on<R, W>(reader: &mut R, writer: &mut W, shared: &Shared) -> std::io::Result<()>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = reader.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        let damage = {
            let mut damage = lock(&shared.damage);
            match &mut *damage {
                Some((after, _)) if count <= *after => {
                    *after -= count;
                    None
                }
                due => due.take(),
            }
        };
        let Some((after, damage)) = damage else {
            writer.write_all(&buffer[..count]).await?;
            continue;
        };
        shared.damages.fetch_add(1, Ordering::Relaxed);
        writer.write_all(&buffer[..after]).await?;
        if damage == Damage::Garbage {
            writer.write_all(&[0xc1; 4096]).await?;
        }
        return Ok(());
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.end();
    }
}
