//! How often something may be tried in a stretch of time.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// More keys than this at once are a flood: the oldest are forgotten.
const MOST_KEYS: usize = 4096;

/// Counts tries by key in windows.
#[derive(Debug)]
pub(super) struct Throttle {
    most: u32,
    window: Duration,
    counts: Mutex<HashMap<String, (Instant, u32)>>,
}

impl Throttle {
    pub(super) fn new(most: u32, window: Duration) -> Self {
        Self {
            most,
            window,
            counts: Mutex::default(),
        }
    }

    /// Counts one try; errs with the time to wait when there were too many.
    pub(super) fn take(&self, key: &str) -> Result<(), Duration> {
        let now = Instant::now();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MOST_KEYS {
            let window = self.window;
            counts.retain(|_, (since, _)| now.duration_since(*since) < window);
            if counts.len() >= MOST_KEYS
                && let Some(oldest) = counts
                    .iter()
                    .min_by_key(|(_, (since, _))| *since)
                    .map(|(key, _)| key.clone())
            {
                counts.remove(&oldest);
            }
        }
        let (since, count) = counts.entry(key.to_owned()).or_insert((now, 0));
        if now.duration_since(*since) >= self.window {
            (*since, *count) = (now, 0);
        }
        if *count >= self.most {
            return Err(self.window.saturating_sub(now.duration_since(*since)));
        }
        *count += 1;
        Ok(())
    }

    /// A success: the tries before it do not count.
    pub(super) fn forget(&self, key: &str) {
        self.counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_in_a_window_and_a_flood_of_keys_is_bounded() {
        let throttle = Throttle::new(2, Duration::from_mins(1));
        assert!(throttle.take("a").is_ok() && throttle.take("a").is_ok());
        assert!(throttle.take("a").is_err());
        assert!(throttle.take("b").is_ok());
        for number in 0..2 * MOST_KEYS {
            throttle.take(&number.to_string()).unwrap();
        }
        assert!(throttle.counts.lock().unwrap().len() <= MOST_KEYS);
    }
}
