//! The record of a start: each step with its duration, by the process that takes it.

use shim_protocol::TraceStep;

use crate::clock;
use crate::error::{Error, Result};

/// Steps taken so far; records nothing unless asked to.
#[derive(Debug)]
pub struct Trace {
    on: bool,
    origin_ns: u64,
    steps: Vec<TraceStep>,
}

impl Trace {
    /// An empty trace that begins now.
    pub fn new(on: bool) -> Self {
        Self {
            on,
            origin_ns: clock::monotonic_ns(),
            steps: Vec::new(),
        }
    }

    /// Takes a step: its name goes to the error, and into the trace with duration and what `detail` says.
    ///
    /// # Errors
    /// That of the step.
    pub fn step<T>(
        &mut self,
        name: &'static str,
        detail: impl FnOnce() -> String,
        step: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if !self.on {
            return step().map_err(|error| error.in_step(name));
        }
        let start = clock::monotonic_ns();
        let result = step().map_err(|error: Error| error.in_step(name));
        let end = clock::monotonic_ns();
        self.steps.push(TraceStep {
            step: name.into(),
            start_ns: start.saturating_sub(self.origin_ns),
            duration_ns: end.saturating_sub(start),
            detail: detail(),
            error: result.as_ref().err().map(ToString::to_string),
        });
        result
    }

    /// Adds steps that another process took on the same clock.
    pub fn extend(&mut self, steps: Vec<TraceStep>) {
        self.steps.extend(steps);
    }

    /// Forgets the steps so far; the clock goes on.
    pub fn clear(&mut self) {
        self.steps.clear();
    }

    /// The steps, in the order they began.
    pub fn into_steps(mut self) -> Vec<TraceStep> {
        self.steps.sort_by_key(|step| step.start_ns);
        self.steps
    }

    /// The steps so far.
    pub fn steps(&self) -> &[TraceStep] {
        &self.steps
    }
}
