//! Two workers and a scheduler in network namespaces of their own, and a link
//! that is down for a while.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use flow_tests::dask::RustWorker;
use flow_tests::python::Environment;
use flow_tests::scale;
use serde_json::json;

use crate::flow_faults::program;
use crate::flows::Flow;
use crate::support::wait_until;

/// A network of its own: a bridge, and a namespace for each host.
struct Network {
    name: String,
    hosts: usize,
}

impl Network {
    /// A network with so many hosts, or why this machine allows none.
    fn new(hosts: usize) -> Result<Self, String> {
        let network = Self {
            name: format!("flow{}", std::process::id()),
            hosts,
        };
        let hub = network.hub();
        ip(&["netns", "add", &hub])?;
        // From here on the machine has allowed it: all else is a failure.
        network.build().expect("a network");
        Ok(network)
    }

    fn build(&self) -> Result<(), String> {
        let hub = self.hub();
        ip(&["-n", &hub, "link", "add", "bridge", "type", "bridge"])?;
        ip(&["-n", &hub, "link", "set", "bridge", "up"])?;
        for host in 0..self.hosts {
            let (name, port) = (self.host(host), format!("port{host}"));
            ip(&["netns", "add", &name])?;
            let pair = ["-n", &hub, "link", "add", &port, "type", "veth", "peer"];
            ip(&[&pair[..], &["name", "eth0", "netns", &name]].concat())?;
            ip(&["-n", &hub, "link", "set", &port, "master", "bridge", "up"])?;
            let address = format!("{}/24", address(host));
            ip(&["-n", &name, "address", "add", &address, "dev", "eth0"])?;
            ip(&["-n", &name, "link", "set", "eth0", "up"])?;
            ip(&["-n", &name, "link", "set", "lo", "up"])?;
        }
        Ok(())
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.name)
    }

    fn host(&self, host: usize) -> String {
        format!("{}-{host}", self.name)
    }

    /// Connects a host, or takes its cable out.
    fn set_link(&self, host: usize, state: &str) {
        let port = format!("port{host}");
        ip(&["-n", &self.hub(), "link", "set", &port, state]).expect("a link");
    }

    /// A program on a host.
    fn command(&self, host: usize, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.host(host)]);
        command.arg(program.into());
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let hosts = (0..self.hosts).map(|host| self.host(host));
        for name in hosts.chain([self.hub()]) {
            // It may not have come so far.
            let _ = ip(&["netns", "delete", &name]);
        }
    }
}

fn address(host: usize) -> String {
    format!("10.77.0.{}", host + 1)
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("`ip` cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`ip {}`: {}", arguments.join(" "), said.trim()))
}

/// The link of a worker is down for one second, or in the slow lane for ten.
#[test]
fn a_link_that_is_down_for_a_while_costs_no_result() {
    let network = match Network::new(3) {
        Ok(network) => network,
        Err(reason) => {
            println!("skipped: this machine allows no network namespaces: {reason}");
            return;
        }
    };
    let (scheduler, workers) = (0, [1, 2]);
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("scheduler.json");
    let environment = Environment::dask().expect("an environment with Dask");
    let place = format!("tcp://{}:8786", address(scheduler));
    let mut stock = network.command(scheduler, environment.python());
    stock
        .args(["-m", "distributed.cli.dask_scheduler", "--no-dashboard"])
        .args(["--host", &place, "--scheduler-file"])
        .arg(&file)
        .current_dir(directory.path())
        .stderr(std::process::Stdio::null());
    // Whatever it is, it is killed when it is dropped.
    let _scheduler = RustWorker::spawn(&mut stock).expect("a scheduler");
    wait_until("a scheduler", || file.exists());
    let _workers = workers.map(|host| {
        let mut worker = network.command(host, program());
        worker
            .env("FLOW_WORKER", &place)
            .env("FLOW_WORKER_NTHREADS", "1")
            .env("FLOW_WORKER_HOST", address(host));
        RustWorker::spawn(&mut worker).expect("a worker")
    });
    let traces = directory.path().join("traces");
    std::fs::create_dir(&traces).expect("a directory");
    let mut flow = network.command(scheduler, program());
    flow.args(["spread", &place, "40"]).arg(&traces).arg("50");
    let flow = Flow::spawn(&mut flow);
    let begun = || std::fs::read_dir(&traces).expect("a directory").count();
    wait_until("four rows", || begun() >= 4);

    network.set_link(workers[0], "down");
    let seconds = if scale::factor() > 1 { 10 } else { 1 };
    std::thread::sleep(Duration::from_secs(seconds));
    network.set_link(workers[0], "up");
    let counts = flow.result();
    let rows = counts.as_object().expect("counts").values();
    let rows: u64 = rows.filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(json!(rows), json!(40), "{counts}");
}
