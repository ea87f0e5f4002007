//! What a task runner's session in this process offers to its runs.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::permits::{LimitsHere, here};
use crate::definition::{Resources, millionths};
use crate::engine::LimitId;
use crate::error::{Error, Result};

/// Resources of one session, such as two GPUs; see
/// [`RunnerSession::resources`](crate::bridge::RunnerSession::resources).
///
/// Runs hold what they ask for from before they start until they have ended.
#[derive(Default)]
pub struct OfferedResources(HashMap<String, Offered>);

struct Offered {
    limits: Arc<LimitsHere>,
    id: LimitId,
    amount: f64,
}

impl fmt::Debug for OfferedResources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amounts = self.0.iter().map(|(name, offered)| (name, offered.amount));
        f.debug_map().entries(amounts).finish()
    }
}

impl OfferedResources {
    /// So much of each.
    ///
    /// # Errors
    ///
    /// An amount is not a number greater than zero.
    pub fn new<N: Into<String>>(resources: impl IntoIterator<Item = (N, f64)>) -> Result<Self> {
        let mut offered = Self::default();
        for (name, amount) in resources {
            let name = name.into();
            let slots = millionths(&name, amount)?;
            let limits = here();
            let id = limits.change(|limits, _| limits.add(&name, slots));
            offered.0.insert(name, Offered { limits, id, amount });
        }
        Ok(offered)
    }

    /// The slots that stand for these resources.
    ///
    /// # Errors
    ///
    /// The session never has so much of one of them.
    pub(crate) fn slots(&self, wanted: &Resources) -> Result<Vec<(LimitId, u64)>> {
        wanted
            .iter()
            .map(|(name, amount)| {
                let slots = millionths(name, amount)?;
                let offered = self.0.get(name);
                match offered {
                    Some(offered) if offered.amount >= amount => Ok((offered.id, slots)),
                    _ => {
                        let has = offered.map_or(0.0, |offered| offered.amount);
                        Err(Error::invalid(format!(
                            "{amount} of resource `{name}` are needed, but the flow's task runner \
                             has {has}: give it more, `task_runner = \
                             ThreadPoolTaskRunner::new().resources([(\"{name}\", {amount:?})])`"
                        )))
                    }
                }
            })
            .collect()
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        let Self { limits, id, .. } = self;
        limits.change(|limits, _| limits.drop_limit(*id));
    }
}
