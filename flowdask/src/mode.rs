//! `FLOW_WORKER=tcp://…`, or `worker tcp://…` on the command line: the same
//! executable as a worker.
//!
//! The variables are those that DESIGN and the guide list: `FLOW_WORKER` names
//! the scheduler, `FLOW_WORKER_NTHREADS`, `_ASYNC_RUNS`, `_MEMORY_LIMIT`, `_NAME`, `_HOST`,
//! `_CONTACT_ADDRESS`, `_LOCAL_DIRECTORY`, `_RESOURCES` and
//! `_TLS_CA_FILE`, `_TLS_CERT`, `_TLS_KEY` its options.

use std::env;
use std::path::PathBuf;

use flowcore::bridge::{ModeCommand, ProcessMode};
use flowcore::{Error, Result};

use crate::runner::{ASYNC_RUNS, TaskExecutor, io, own_resources};
use crate::wire::Security;
use crate::worker::{Worker, WorkerBuilder};

flowcore::bridge::submit_process_mode!(ProcessMode::new(VARIABLE, run).command(COMMAND));

/// `worker tcp://…` on the command line.
const COMMAND: ModeCommand = ModeCommand {
    name: "worker",
    about: "Works for a Dask scheduler until that, or a signal, ends it",
    argument: "SCHEDULER",
    options: &[
        (
            "nthreads",
            "How many tasks run at once (default: a thread per core)",
        ),
        (
            "async-runs",
            "How many async tasks wait beside them (default: 64)",
        ),
        (
            "memory-limit",
            "Where results go to disk and work pauses, such as `4GiB`",
        ),
        ("name", "The worker's name in the cluster"),
        ("host", "The address to listen at"),
        ("contact-address", "The address that others are told"),
        (
            "local-directory",
            "Where results go that do not fit in memory",
        ),
        ("resources", "What it offers, such as `GPU=2 DISK=1.5`"),
        (
            "tls-ca-file",
            "The authority's certificate, for `tls://` schedulers",
        ),
        ("tls-cert", "The worker's certificate"),
        ("tls-key", "The worker's key"),
    ],
};

pub(crate) const VARIABLE: &str = "FLOW_WORKER";

/// The option of workers that leave when their standard input ends: however
/// the process at its other end ended, they do not stay behind.
pub(crate) const LEASH: &str = "LEASH";

/// The variable of an option.
pub(crate) fn variable(option: &str) -> String {
    format!("{VARIABLE}_{option}")
}

/// Works until the scheduler, or whoever stops the process, ends it.
fn run(scheduler: &str) -> Result<()> {
    let option = |name: &str| match env::var(variable(name)) {
        Ok(value) if value.is_empty() => Ok(None),
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(invalid(name, "is no Unicode text")),
    };
    let executor = TaskExecutor::new(async_runs(option("ASYNC_RUNS")?)?);
    let builder = Worker::builder(scheduler, executor).owns_process(true);
    let builder = configured(builder, option)?;
    let is_leashed = env::var_os(variable(LEASH)).is_some();
    io().block_on(async {
        let worker = builder.start().await?;
        Ok(worker
            .run_until(async {
                tokio::select! {
                    () = terminated() => {}
                    () = leash_ended(), if is_leashed => {}
                }
            })
            .await?)
    })
}

/// Whoever started this worker is gone, or wants it to leave.
async fn leash_ended() {
    let (gone, ended) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: reading standard input cannot be given up.
    let reader = std::thread::Builder::new()
        .name("flow-leash".to_owned())
        .spawn(move || {
            // Nothing is ever written to it.
            let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
            drop(gone);
        });
    match reader {
        Ok(_) => drop(ended.await),
        Err(error) => {
            tracing::warn!(%error, "this worker stays when its starter is gone");
            std::future::pending::<()>().await;
        }
    }
}

/// SIGTERM or Ctrl-C: the worker hands its results over and leaves.
async fn terminated() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                tokio::select! {
                    _ = interrupted => {}
                    _ = terminate.recv() => {}
                }
            }
            Err(error) => {
                tracing::warn!(%error, "SIGTERM ends this worker at once");
                // Without a handler the system ends it.
                let _ = interrupted.await;
            }
        }
    }
    #[cfg(not(unix))]
    let _ = interrupted.await;
}

fn async_runs(option: Option<String>) -> Result<usize> {
    match option {
        Some(text) => text
            .parse()
            .map_err(|_| invalid("ASYNC_RUNS", "is no number of runs")),
        None => Ok(ASYNC_RUNS),
    }
}

fn configured(
    mut builder: WorkerBuilder,
    option: impl Fn(&str) -> Result<Option<String>>,
) -> Result<WorkerBuilder> {
    for (resource, offered) in own_resources()? {
        builder = builder.resource(resource, offered);
    }
    if let Some(text) = option("RESOURCES")? {
        for (name, amount) in resources(&text)? {
            builder = builder.resource(name, amount);
        }
    }
    if let Some(threads) = option("NTHREADS")? {
        let threads = threads.parse().ok().filter(|threads| *threads > 0);
        builder = builder
            .nthreads(threads.ok_or_else(|| invalid("NTHREADS", "is no number of threads"))?);
    }
    if let Some(limit) = option("MEMORY_LIMIT")? {
        builder = builder.memory_limit(bytes(&limit)?);
    }
    if let Some(name) = option("NAME")? {
        builder = builder.name(name);
    }
    if let Some(host) = option("HOST")? {
        builder = builder.host(host);
    }
    if let Some(address) = option("CONTACT_ADDRESS")? {
        builder = builder.contact_address(address);
    }
    if let Some(directory) = option("LOCAL_DIRECTORY")? {
        builder = builder.local_directory(PathBuf::from(directory));
    }
    match (
        option("TLS_CA_FILE")?,
        option("TLS_CERT")?,
        option("TLS_KEY")?,
    ) {
        (None, None, None) => Ok(builder),
        (Some(authority), Some(certificate), Some(key)) => {
            Ok(builder.security(Security::tls_files(authority, certificate, key)?))
        }
        _ => Err(Error::msg(
            "FLOW_WORKER_TLS_CA_FILE, FLOW_WORKER_TLS_CERT and FLOW_WORKER_TLS_KEY belong \
             together: set all three or none",
        )),
    }
}

fn invalid(name: &str, what: &str) -> Error {
    Error::msg(format!("{} {what}", variable(name)))
}

/// `GPU=2 DISK=1.5`, as `dask worker --resources` takes it.
fn resources(text: &str) -> Result<Vec<(String, f64)>> {
    text.split([' ', ','])
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, amount) = part.split_once('=')?;
            let amount: f64 = amount.parse().ok()?;
            (amount.is_finite() && amount >= 0.0).then(|| (name.to_owned(), amount))
        })
        .collect::<Option<_>>()
        .ok_or_else(|| invalid("RESOURCES", "is not like `GPU=2 DISK=1.5`"))
}

/// `4GiB`, `500 MB` or plain bytes, as Dask reads them.
fn bytes(text: &str) -> Result<u64> {
    const UNITS: [(&str, u64); 9] = [
        ("", 1),
        ("b", 1),
        ("kb", 1_000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
    ];
    let text = text.trim().to_ascii_lowercase();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let factor = UNITS.iter().find(|(name, _)| *name == unit);
    let number: Option<f64> = digits.trim().parse().ok();
    match (number, factor) {
        (Some(number), Some((_, factor))) if number.is_finite() && number >= 0.0 => {
            // Above 2^53 bytes nobody minds the rounding.
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss
            )]
            Ok((number * *factor as f64) as u64)
        }
        _ => Err(invalid("MEMORY_LIMIT", "is no size like `4GiB` or `500MB`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_dask_reads_them() {
        for (text, size) in [("17", 17), ("4GiB", 4 << 30), ("1.5 kB", 1500), ("0", 0)] {
            assert_eq!(bytes(text).unwrap(), size, "{text}");
        }
        for text in ["", "-1", "4 apples", "GiB", "inf"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }

    #[test]
    fn resources_are_read_as_dask_reads_them() {
        let read = resources("GPU=2 DISK=1.5").unwrap();
        assert_eq!(read, [("GPU".to_owned(), 2.0), ("DISK".to_owned(), 1.5)]);
        for text in ["GPU", "GPU=x", "GPU=-1"] {
            assert!(resources(text).is_err(), "{text}");
        }
    }
}
