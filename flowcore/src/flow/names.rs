//! Names of runs: `brave-otter` for flows, `inc-9c2` for tasks.

use uuid::Uuid;

use crate::runner::RunReference;

const ADJECTIVES: [&str; 64] = [
    "amber", "ancient", "arctic", "astute", "azure", "bold", "brave", "bright", "calm", "clever",
    "copper", "coral", "crimson", "curious", "daring", "deft", "eager", "earnest", "electric",
    "emerald", "fancy", "fierce", "gentle", "gifted", "golden", "graceful", "hardy", "honest",
    "humble", "icy", "indigo", "ivory", "jolly", "keen", "kind", "lively", "loyal", "lucky",
    "mellow", "mighty", "nimble", "noble", "olive", "patient", "polite", "proud", "quick", "quiet",
    "rapid", "rustic", "sage", "scarlet", "silent", "silver", "sincere", "smart", "steady",
    "sturdy", "swift", "tidy", "vivid", "warm", "wise", "witty",
];

const ANIMALS: [&str; 64] = [
    "albatross",
    "alpaca",
    "badger",
    "beaver",
    "bison",
    "bobcat",
    "buffalo",
    "butterfly",
    "camel",
    "caribou",
    "cheetah",
    "cobra",
    "condor",
    "cougar",
    "coyote",
    "crab",
    "crane",
    "cricket",
    "dolphin",
    "donkey",
    "dove",
    "eagle",
    "falcon",
    "ferret",
    "finch",
    "fox",
    "gazelle",
    "gecko",
    "gibbon",
    "goose",
    "hare",
    "hawk",
    "hedgehog",
    "heron",
    "ibex",
    "iguana",
    "impala",
    "jackal",
    "jaguar",
    "kestrel",
    "koala",
    "lemur",
    "leopard",
    "lizard",
    "llama",
    "lynx",
    "marmot",
    "marten",
    "mole",
    "moose",
    "narwhal",
    "newt",
    "ocelot",
    "orca",
    "osprey",
    "otter",
    "panda",
    "parrot",
    "pelican",
    "puffin",
    "rabbit",
    "raven",
    "salmon",
    "walrus",
];

/// A flow run's name, from random bits.
pub(super) fn flow_run_name(random: u64) -> String {
    let adjective = ADJECTIVES[(random % 64) as usize];
    let animal = ANIMALS[(random / 64 % 64) as usize];
    format!("{adjective}-{animal}")
}

/// A task run's name: the task's name and three hexadecimal digits that
/// belong to this run of this flow run.
pub(crate) fn task_run_name(task: &str, seed: u64, run: RunReference) -> String {
    let digits = mix(seed ^ hash(run)) >> 52;
    format!("{task}-{digits:03x}")
}

/// A task run's id: made from the flow run's, so that no row keeps one.
pub(crate) fn task_run_id(flow_run: Uuid, run: RunReference) -> Uuid {
    let (high, low) = flow_run.as_u64_pair();
    let hash = hash(run);
    #[cfg(feature = "prefect")]
    let hash = hash ^ crate::prefect::adoption::salt_of(flow_run);
    // A version for ids that are made by a rule of one's own (RFC 9562).
    let bits = u128::from(mix(high ^ hash)) << 64 | u128::from(mix(low ^ hash));
    uuid::Builder::from_custom_bytes(bits.to_be_bytes()).into_uuid()
}

/// A number in [0, 1) that belongs to this attempt of this run: the same in
/// every process.
pub(super) fn random(seed: u64, run: RunReference, attempt: u32) -> f64 {
    let bits = mix(seed ^ hash(run) ^ mix(u64::from(attempt)));
    // As many bits as a float's fraction holds.
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

fn hash(run: RunReference) -> u64 {
    let (entry, row) = match run {
        RunReference::Run(bits) => (bits, 0),
        RunReference::Row(bits, row) => (bits ^ 1 << 63, u64::from(row) + 1),
    };
    mix(entry ^ mix(row))
}

/// SplitMix64's finalizer: spreads neighbours apart.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_to_their_run() {
        assert_eq!(flow_run_name(0), "amber-albatross");
        let name = task_run_name("inc", 5, RunReference::Row(1, 2));
        assert_eq!(name, task_run_name("inc", 5, RunReference::Row(1, 2)));
        assert_ne!(name, task_run_name("inc", 5, RunReference::Row(1, 3)));
        assert_eq!(name.len(), "inc-abc".len());
    }
}
