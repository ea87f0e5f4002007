use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_nanoseconds(1);

fn slots(limits: &Limits, wanted: &[(&str, u64)]) -> Slots {
    let find = |name: &str| limits.find(name).unwrap();
    wanted.iter().map(|&(name, n)| (find(name), n)).collect()
}

fn answers(limits: &mut Limits) -> Vec<(Ticket, Answer)> {
    std::iter::from_fn(|| limits.next_answer()).collect()
}

#[test]
fn priorities_come_first_and_equals_in_their_order() {
    let mut limits = Limits::default();
    limits.set("x", 1, None, NOW);
    let one = slots(&limits, &[("x", 1)]);
    let first = limits.request(&one, 1, 0, NOW).unwrap();
    assert_eq!((first.granted, first.ticket), (1, None));
    let waiting: Vec<_> = [0, 0, 5, -1, 5]
        .into_iter()
        .map(|priority| limits.request(&one, 1, priority, NOW).unwrap().ticket)
        .collect();
    let mut order = Vec::new();
    for _ in 0..5 {
        limits.release(&one, NOW);
        order.extend(answers(&mut limits).into_iter().map(|(ticket, _)| ticket));
    }
    let expected: Vec<_> = [2, 4, 0, 1, 3]
        .iter()
        .map(|&i| waiting[i].unwrap())
        .collect();
    assert_eq!(order, expected);
}

#[test]
fn a_large_request_is_not_overtaken_at_its_limit_and_blocks_no_other() {
    let mut limits = Limits::default();
    limits.set("x", 3, None, NOW);
    limits.set("y", 1, None, NOW);
    let x = slots(&limits, &[("x", 1)]);
    let both = slots(&limits, &[("x", 3), ("y", 1)]);
    let y = slots(&limits, &[("y", 1)]);
    assert_eq!(limits.request(&x, 1, 0, NOW).unwrap().granted, 1);
    let large = limits.request(&both, 1, 0, NOW).unwrap().ticket.unwrap();
    let small = limits.request(&x, 1, 0, NOW).unwrap().ticket.unwrap();
    // The large one waits for slots of x alone.
    assert_eq!(limits.request(&y, 1, 0, NOW).unwrap().granted, 1);
    limits.release(&x, NOW);
    // Now y lacks for it, and whoever waits for x alone goes on.
    assert_eq!(
        answers(&mut limits),
        [(small, Answer::Granted(1, x.clone()))]
    );
    limits.release(&x, NOW);
    limits.release(&y, NOW);
    assert_eq!(answers(&mut limits), [(large, Answer::Granted(1, both))]);
}

#[test]
fn a_request_for_more_than_the_limit_is_refused() {
    let mut limits = Limits::default();
    limits.set("x", 2, None, NOW);
    let three = slots(&limits, &[("x", 3)]);
    let refusal = limits.request(&three, 1, 0, NOW).unwrap_err();
    assert_eq!((&*refusal.name, refusal.limit, refusal.slots), ("x", 2, 3));
    let two = slots(&limits, &[("x", 2)]);
    assert_eq!(limits.request(&two, 1, 0, NOW).unwrap().granted, 1);
    let waits = limits.request(&two, 1, 0, NOW).unwrap().ticket.unwrap();
    limits.set("x", 0, None, NOW);
    let answers = answers(&mut limits);
    assert!(
        matches!(&answers[..], [(ticket, Answer::Refused(refusal))]
            if *ticket == waits && refusal.limit == 0),
        "{answers:?}"
    );
}

#[test]
fn a_limit_that_goes_lets_its_waiters_go() {
    let mut limits = Limits::default();
    limits.set("x", 1, None, NOW);
    limits.set("y", 1, None, NOW);
    let x = slots(&limits, &[("x", 1)]);
    let both = slots(&limits, &[("x", 1), ("y", 1)]);
    assert_eq!(limits.request(&both, 1, 0, NOW).unwrap().granted, 1);
    let one = limits.request(&x, 4, 0, NOW).unwrap().ticket.unwrap();
    let two = limits.request(&both, 1, 0, NOW).unwrap().ticket.unwrap();
    assert!(limits.remove("x"));
    assert_eq!(
        answers(&mut limits),
        [(one, Answer::Granted(4, Slots::default()))]
    );
    limits.release(&both, NOW);
    let y = slots(&limits, &[("y", 1)]);
    assert_eq!(answers(&mut limits), [(two, Answer::Granted(1, y))]);
    assert_eq!(limits.active("y", NOW), Some(1));
}

/// Every unit of every request in the order in which it is served.
struct Naive {
    limits: HashMap<LimitId, (u64, u64)>,
    waiting: Vec<(Ticket, Slots, u32)>,
}

impl Naive {
    fn lacks(&self, id: LimitId, slots: &Slots) -> bool {
        let (limit, active) = self.limits[&id];
        let wanted = slots.iter().find(|(other, _)| *other == id);
        wanted.is_some_and(|(_, wanted)| *wanted > limit.saturating_sub(active))
    }

    /// Grants units one by one, always the first that can be.
    fn serve(&mut self) -> HashMap<Ticket, u32> {
        let mut granted = HashMap::new();
        self.waiting.sort_by_key(|(ticket, ..)| *ticket);
        while let Some(index) = (0..self.waiting.len()).find(|&index| {
            let (_, slots, _) = &self.waiting[index];
            slots.iter().all(|(id, _)| {
                !self.lacks(*id, slots)
                    && self.waiting[..index]
                        .iter()
                        .all(|(_, earlier, _)| !self.lacks(*id, earlier))
            })
        }) {
            let (ticket, slots, units) = &mut self.waiting[index];
            *granted.entry(*ticket).or_insert(0) += 1;
            for (id, slots) in slots.iter() {
                self.limits.get_mut(id).unwrap().1 += slots;
            }
            *units -= 1;
            if *units == 0 {
                self.waiting.remove(index);
            }
        }
        granted
    }
}

#[derive(Clone, Debug)]
enum Step {
    Request {
        wanted: Vec<(usize, u64)>,
        units: u32,
        priority: i32,
    },
    Release(usize),
    Forget(usize),
    Set(usize, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let wanted = proptest::collection::btree_map(0..3usize, 1..4u64, 1..4);
    let request = (wanted, 1..5u32, -1..2i32).prop_map(|(wanted, units, priority)| Step::Request {
        wanted: wanted.into_iter().collect(),
        units,
        priority,
    });
    let step = prop_oneof![
        4 => request,
        5 => (0..64usize).prop_map(Step::Release),
        1 => (0..64usize).prop_map(Step::Forget),
        1 => (0..3usize, 0..6u64).prop_map(|(limit, slots)| Step::Set(limit, slots)),
    ];
    proptest::collection::vec(step, 1..60)
}

const NAMES: [&str; 3] = ["x", "y", "z"];

proptest! {
    /// The same as serving everybody one by one from scratch; at the end every
    /// slot has come back and nobody waits.
    #[test]
    fn grants_what_a_naive_queue_grants(steps in steps()) {
        let mut limits = Limits::default();
        let mut naive = Naive { limits: HashMap::new(), waiting: Vec::new() };
        for name in NAMES {
            limits.set(name, 3, None, NOW);
            naive.limits.insert(limits.find(name).unwrap(), (3, 0));
        }
        let mut held: Vec<Slots> = Vec::new();
        let mut known: HashMap<Ticket, Slots> = HashMap::new();
        for step in steps {
            let mut granted = HashMap::new();
            let mut refused = Vec::new();
            match step {
                Step::Request { wanted, units, priority } => {
                    let wanted: Vec<_> = wanted.into_iter().map(|(i, n)| (NAMES[i], n)).collect();
                    let slots = slots(&limits, &wanted);
                    let Ok(received) = limits.request(&slots, units, priority, NOW) else {
                        let fits = slots.iter().all(|(id, n)| *n <= naive.limits[id].0);
                        prop_assert!(!fits);
                        continue;
                    };
                    let ticket = received.ticket.unwrap_or(Ticket {
                        priority: Reverse(priority),
                        number: limits.next,
                    });
                    held.extend(std::iter::repeat_n(slots.clone(), received.granted as usize));
                    known.insert(ticket, slots.clone());
                    naive.waiting.push((ticket, slots, units));
                    if received.granted > 0 {
                        granted.insert(ticket, received.granted);
                    }
                }
                Step::Release(index) if !held.is_empty() => {
                    let slots = held.swap_remove(index % held.len());
                    limits.release(&slots, NOW);
                    for (id, slots) in slots.iter() {
                        naive.limits.get_mut(id).unwrap().1 -= slots;
                    }
                }
                Step::Forget(index) if !naive.waiting.is_empty() => {
                    let index = index % naive.waiting.len();
                    limits.forget(naive.waiting.remove(index).0);
                }
                Step::Set(index, slots) => {
                    limits.set(NAMES[index], slots, None, NOW);
                    let id = limits.find(NAMES[index]).unwrap();
                    naive.limits.get_mut(&id).unwrap().0 = slots;
                    naive.waiting.retain(|(ticket, wanted, _)| {
                        let fits = wanted.iter().all(|(other, n)| *other != id || *n <= slots);
                        refused.extend((!fits).then_some(*ticket));
                        fits
                    });
                }
                Step::Release(_) | Step::Forget(_) => {}
            }
            for (ticket, answer) in answers(&mut limits) {
                match answer {
                    Answer::Granted(units, _) => {
                        *granted.entry(ticket).or_insert(0) += units;
                        let slots = std::iter::repeat_n(known[&ticket].clone(), units as usize);
                        held.extend(slots);
                    }
                    Answer::Refused(_) => {
                        let place = refused.iter().position(|other| *other == ticket);
                        prop_assert!(place.is_some());
                        refused.swap_remove(place.unwrap());
                    }
                }
            }
            prop_assert!(refused.is_empty());
            prop_assert_eq!(granted, naive.serve());
        }
        for name in NAMES {
            limits.set(name, 3, None, NOW);
        }
        loop {
            for (ticket, answer) in answers(&mut limits) {
                if let Answer::Granted(units, _) = answer {
                    held.extend(std::iter::repeat_n(known[&ticket].clone(), units as usize));
                }
            }
            match held.pop() {
                Some(slots) => limits.release(&slots, NOW),
                None => break,
            }
        }
        prop_assert!(limits.waiting.is_empty());
        for name in NAMES {
            prop_assert_eq!(limits.active(name, NOW), Some(0));
        }
    }
}
