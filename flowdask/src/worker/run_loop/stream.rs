//! What the scheduler says (protocol, section 7.5).

use std::sync::Arc;

use crate::graph;
use crate::wire::{FieldError, Fields, Key};
use crate::worker::hand_back::{HandedBack, Needs, Stray};
use crate::worker::messages::{self, Order, Ran, remotes};
use crate::worker::run_spec::{self, Asked};
use crate::worker::state::{ComputeTask, Event, Peer, Status};

use super::RunLoop;

impl RunLoop {
    pub(super) fn stream(&mut self, number: u64, messages: Vec<Fields>) {
        for mut message in messages {
            // The one before may have ended the stream.
            if self.line(number).is_none() {
                return;
            }
            if let Err(error) = self.hear(&mut message) {
                tracing::error!(%error, "a message of the scheduler makes no sense");
            }
        }
    }

    fn hear(&mut self, message: &mut Fields) -> Result<(), FieldError> {
        let event = match message.op() {
            "compute-task" => {
                let order = Order::read(message)?;
                self.ordered(order);
                return Ok(());
            }
            "free-keys" => {
                let keys = message.keys("keys")?;
                for key in &keys {
                    self.handing_back.remove(key);
                }
                Event::FreeKeys(keys)
            }
            "remove-replicas" => Event::RemoveReplicas(message.keys("keys")?),
            "acquire-replicas" => Event::AcquireReplicas(remotes(message)?),
            "refresh-who-has" => Event::RefreshWhoHas(remotes(message)?),
            "steal-request" => {
                let key = message.key("key")?;
                self.handing_back.remove(&key);
                Event::StealRequest {
                    key,
                    stimulus_id: message.string("stimulus_id")?,
                }
            }
            "worker-status-change" => match Status::named(&message.string("status")?) {
                Some(status) => Event::StatusChange(status),
                None => return Ok(()),
            },
            "remove-worker" => {
                let peer = Peer::from(message.string("worker")?);
                self.forget_peer(&peer);
                Event::RemoveWorker(peer)
            }
            "close" | "close-stream" | "stream-closed" => {
                self.leaving.begin();
                Event::Close
            }
            // `stream-start`, and what later releases may say.
            other => {
                tracing::debug!(op = other, "not for a worker");
                return Ok(());
            }
        };
        self.tell(event);
        Ok(())
    }

    fn ordered(&mut self, order: Order) {
        let is_known = self.state.holds(&order.key) || self.state.has_run(&order.key);
        let asked = run_spec::read(&order);
        let task = match asked {
            Asked::Ours(task) if !self.state.offers(&order.resources) && !is_known => {
                drop(task);
                return self.hand_back(order.key, order.run_id, Needs::Resources(order.resources));
            }
            Asked::Ours(task) => task,
            Asked::Python(_) if is_known => run_spec::nothing(),
            Asked::Python(function) => {
                return self.hand_back(order.key, order.run_id, Needs::Python(function));
            }
        };
        let unknown = task.inputs.iter().find(|input| {
            order
                .dependencies
                .iter()
                .all(|remote| remote.key != **input)
        });
        if let Some(input) = unknown {
            let text = format!("the task's argument `{input}` is none of its dependencies");
            return self.refuse(&order.key, order.run_id, &text);
        }
        self.tell(Event::ComputeTask(ComputeTask {
            key: order.key,
            run_id: order.run_id,
            priority: order.priority,
            resources: order.resources,
            dependencies: order.dependencies,
            work: Arc::new(task),
        }));
    }

    fn hand_back(&mut self, key: Key, run_id: i64, needs: Needs) {
        if self.handing_back.insert(key.clone(), run_id).is_none() {
            // Its receiver ends with the runtime.
            let _ = self.strays.send(Stray { key, needs });
        }
    }

    pub(super) fn handed_back(&mut self, HandedBack { key, outcome }: HandedBack) {
        // Nobody may want it any more.
        let Some(run_id) = self.handing_back.remove(&key) else {
            return;
        };
        match outcome {
            Ok(()) => self.send(messages::reschedule(&key)),
            Err(text) => self.refuse(&key, run_id, &text),
        }
    }

    /// A run that cannot even begin.
    fn refuse(&mut self, key: &Key, run_id: i64, text: &str) {
        let exception = graph::exception(text);
        let erred = messages::task_erred(key, run_id, exception, text, &Ran::default(), 0.0);
        self.send(erred);
    }

    /// A peer has left: whatever is under way from it will not arrive, even if
    /// its machine only sleeps.
    fn forget_peer(&mut self, peer: &Peer) {
        if let Ok(address) = peer.parse() {
            self.shared.pool.forget(&address);
        }
        let gone: Vec<_> = self
            .fetches
            .iter()
            .filter(|(_, (from, _))| from == peer)
            .map(|(request, _)| *request)
            .collect();
        for request in gone {
            if let Some((_, fetch)) = self.fetches.remove(&request) {
                fetch.abort();
            }
            self.tell(Event::PeerFailed(request));
        }
    }
}
