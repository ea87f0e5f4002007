//! Which workers can execute the runs of this program: those of the same
//! build, by a resource that only they offer.

use std::collections::BTreeSet;
use std::time::Duration;

use flowcore::Result;

use super::task_runner::cores;
use crate::client::{Client, SubmitOptions, WorkerInfo};

/// What the resource's name begins with; the rest is the build.
const PREFIX: &str = "FLOW-";

/// What workers of every build offer: clients in other languages, which know
/// no build, ask for it. The names of all that our workers offer begin so.
pub(crate) const ANY_BUILD: &str = "FLOW";

/// When it is told that no worker is there.
const PATIENCE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_millis(200);

/// How much of it a worker offers: each run asks for 1, and the worker's
/// threads are the limit, not this.
const OFFERED: f64 = 1e9;

/// The resource that runs of this program ask for.
///
/// # Errors
///
/// Two tasks with one key.
fn resource() -> Result<String> {
    Ok(format!("{PREFIX}{:016x}", flowcore::bridge::build()?))
}

/// What a worker of this program offers.
///
/// # Errors
///
/// Two tasks with one key.
pub(crate) fn own_resources() -> Result<[(String, f64); 2]> {
    Ok([(resource()?, OFFERED), (ANY_BUILD.to_owned(), OFFERED)])
}

#[derive(Debug)]
pub(super) struct Placement {
    resource: String,
    timeout: Duration,
}

impl Placement {
    pub(super) fn new(timeout: Duration) -> Result<Self> {
        let resource = resource()?;
        Ok(Self { resource, timeout })
    }

    /// Of tasks that also need these.
    pub(super) fn options<'a>(
        &'a self,
        resources: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> SubmitOptions {
        let build = (self.resource.as_str(), 1.0);
        SubmitOptions::default().resources(resources.into_iter().chain([build]))
    }

    /// How many runs of this program the cluster executes at once; this
    /// machine's cores while no worker of it is there.
    pub(super) async fn threads(&self, client: &Client) -> usize {
        let Ok(info) = client.scheduler_info().await else {
            return cores();
        };
        let own = |worker: &&WorkerInfo| worker.resources.contains_key(&self.resource);
        let own = info.workers.values().filter(own);
        match own.map(|worker| worker.nthreads as usize).sum() {
            0 => cores(),
            threads => threads,
        }
    }

    /// Waits until a worker of this build is there.
    ///
    /// # Errors
    ///
    /// None came in time: the reason, with the builds that are there.
    pub(super) async fn find_worker(&self, client: &Client) -> std::result::Result<(), String> {
        let start = tokio::time::Instant::now();
        let mut has_warned = false;
        loop {
            let Ok(info) = client.scheduler_info().await else {
                // The client tells its keys.
                return Ok(());
            };
            let mut builds = BTreeSet::new();
            for worker in info.workers.values() {
                let names = worker.resources.keys();
                builds.extend(names.filter(|name| name.starts_with(PREFIX)).cloned());
            }
            if builds.contains(&self.resource) {
                return Ok(());
            }
            let waited = start.elapsed();
            let missing = self.missing(&builds, info.workers.len());
            if waited >= self.timeout {
                return Err(format!("{missing} after {:?}", self.timeout));
            }
            if waited >= PATIENCE && !has_warned {
                has_warned = true;
                tracing::warn!("{missing}; waiting for one, {:?} at most", self.timeout);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn missing(&self, builds: &BTreeSet<String>, workers: usize) -> String {
        let others = if builds.is_empty() {
            "none of them a worker of this kind".to_owned()
        } else {
            let builds: Vec<&str> = builds.iter().map(String::as_str).collect();
            format!("of the builds {}", builds.join(", "))
        };
        format!(
            "no worker of this build ({}) is on the Dask cluster, which has {workers} workers, \
             {others}: start this same executable as a worker, with FLOW_WORKER=<scheduler \
             address>",
            self.resource
        )
    }
}
