//! Entries under keys that are never mistaken for a later entry's.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// Names an entry of a [`Slab`]: a place, and how often it was used before.
pub(crate) struct Key<V> {
    index: u32,
    generation: u32,
    kind: PhantomData<fn() -> V>,
}

impl<V> Key<V> {
    /// The key as a number, for other processes.
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            generation: (bits >> 32) as u32,
            kind: PhantomData,
        }
    }
}

impl<V> Clone for Key<V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Key<V> {}

impl<V> PartialEq for Key<V> {
    fn eq(&self, other: &Self) -> bool {
        self.to_bits() == other.to_bits()
    }
}

impl<V> Eq for Key<V> {}

impl<V> Hash for Key<V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.to_bits().hash(state);
    }
}

impl<V> fmt::Debug for Key<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

struct Place<V> {
    generation: u32,
    entry: Option<V>,
}

pub(crate) struct Slab<V> {
    places: Vec<Place<V>>,
    free: Vec<u32>,
}

impl<V> Default for Slab<V> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<V> Slab<V> {
    pub(crate) fn insert(&mut self, entry: V) -> Key<V> {
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(Place {
                generation: 0,
                entry: None,
            });
            u32::try_from(self.places.len() - 1).expect("fewer than 2^32 live runs in one flow run")
        });
        let place = &mut self.places[index as usize];
        place.entry = Some(entry);
        Key {
            index,
            generation: place.generation,
            kind: PhantomData,
        }
    }

    pub(crate) fn get(&self, key: Key<V>) -> Option<&V> {
        let place = self.places.get(key.index as usize)?;
        (place.generation == key.generation)
            .then_some(place.entry.as_ref())
            .flatten()
    }

    pub(crate) fn get_mut(&mut self, key: Key<V>) -> Option<&mut V> {
        let place = self.places.get_mut(key.index as usize)?;
        (place.generation == key.generation)
            .then_some(place.entry.as_mut())
            .flatten()
    }

    pub(crate) fn remove(&mut self, key: Key<V>) -> Option<V> {
        let place = self.places.get_mut(key.index as usize)?;
        if place.generation != key.generation {
            return None;
        }
        let entry = place.entry.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(entry)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key<V>> {
        (0..)
            .zip(&self.places)
            .filter(|(_, place)| place.entry.is_some())
            .map(|(index, place)| Key {
                index,
                generation: place.generation,
                kind: PhantomData,
            })
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}

/// Something beside some entries of a slab, under the same keys.
pub(crate) struct Side<K, V> {
    places: Vec<Option<(u32, V)>>,
    kind: PhantomData<fn() -> K>,
}

impl<K, V> Default for Side<K, V> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            kind: PhantomData,
        }
    }
}

impl<K, V> Side<K, V> {
    pub(crate) fn insert(&mut self, key: Key<K>, value: V) {
        let index = key.index as usize;
        if self.places.len() <= index {
            self.places.resize_with(index + 1, || None);
        }
        self.places[index] = Some((key.generation, value));
    }

    pub(crate) fn get(&self, key: Key<K>) -> Option<&V> {
        match self.places.get(key.index as usize)? {
            Some((generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: Key<K>) -> Option<&mut V> {
        match self.places.get_mut(key.index as usize)? {
            Some((generation, value)) if *generation == key.generation => Some(value),
            _ => None,
        }
    }

    /// Puts another value in the place of this one.
    pub(crate) fn replace(&mut self, key: Key<K>, value: V) -> Option<V> {
        self.get_mut(key)
            .map(|place| std::mem::replace(place, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.places.iter().flatten().map(|(_, value)| value)
    }

    pub(crate) fn remove(&mut self, key: Key<K>) -> Option<V> {
        let place = self.places.get_mut(key.index as usize)?;
        match place {
            Some((generation, _)) if *generation == key.generation => {
                place.take().map(|(_, value)| value)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_place_has_another_key() {
        let mut slab = Slab::default();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_ne!(first, second);
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(second), Some(&'b'));
        assert_eq!(Key::from_bits(second.to_bits()), second);
        assert_eq!(slab.len(), 1);
    }
}
