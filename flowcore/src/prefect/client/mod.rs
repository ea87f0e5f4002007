//! Requests to a Prefect server.
//!
//! [`ApiClient`] sends one request at a time for its caller and repeats it as
//! long as that is safe and may help; [`EventSocket`] sends events without
//! answers. Both live on the process's service runtime, so that futures of
//! theirs can be awaited anywhere.

mod csrf;
mod error;
mod forbidden;
mod retry;
mod secret;
mod send;
mod settings;
mod socket;
mod tls;
mod version;

pub(crate) use error::ApiError;
pub(crate) use secret::Secret;
pub(crate) use send::ApiClient;
pub(crate) use settings::ApiSettings;
pub(crate) use socket::EventSocket;
