//! Stock Prefect servers, as processes of the test, and what they know.
//!
//! A server has a folder, a database and a port of its own, and ends with the
//! value that stands for it; the [shared](Server::shared) one ends with the
//! test program, however that ends. Between a program and its server there can
//! be a [way on which things go wrong](FaultyWay).

mod faults;
mod frames;
mod pages;
mod request;
mod server;
mod tls;

pub use faults::{Faults, FaultyWay, Met};
pub use pages::Pages;
pub use request::{Answer, request};
pub use server::Server;
pub use tls::TlsWay;
