//! How many sockets a session has open.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// Counts by session.
#[derive(Debug, Clone, Default)]
pub struct Places(Arc<Mutex<HashMap<[u8; 32], usize>>>);

/// One place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Places,
    session: [u8; 32],
}

impl Places {
    /// A place, unless the session has `most` already.
    pub(crate) fn enter(&self, session: [u8; 32], most: usize) -> Option<Place> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(session).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place {
            places: self.clone(),
            session,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_given_back() {
        let places = Places::default();
        let first = places.enter([1; 32], 1);
        assert!(first.is_some());
        assert!(places.enter([1; 32], 1).is_none());
        assert!(places.enter([2; 32], 1).is_some());
        drop(first);
        assert!(places.enter([1; 32], 1).is_some());
    }
}
