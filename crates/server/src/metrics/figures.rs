//! The newest figures, in memory: ten minutes of every running container and of the host, one point a second.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use api::{
    host::HostFigures,
    id::EngineName,
    live::{HostSnapshot, Position, StatsArgs, StatsSnapshot},
    stats::{ContainerStats, FigureSource, StatsPoint},
};

use super::series::Series;
use crate::live::{Feed, Frame, Pulse, new_epoch};

/// Points kept: ten minutes.
const KEPT: usize = 600;

/// The newest figures of everything on this machine's engines.
#[derive(Debug)]
pub struct Figures {
    epoch: Arc<str>,
    pulse: Pulse,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    containers: BTreeMap<EngineName, Engine>,
    /// The newest reading of each container's counters, for who makes rates of them elsewhere.
    counters: BTreeMap<EngineName, HashMap<String, observe::Figures>>,
    host: Series<HostFigures>,
    host_seq: u64,
}

#[derive(Debug, Default)]
struct Engine {
    /// Counts the rounds of the sampler.
    seq: u64,
    containers: HashMap<String, Container>,
}

#[derive(Debug)]
struct Container {
    source: FigureSource,
    series: Series<StatsPoint>,
    /// Round of the newest point.
    seq: u64,
}

impl Figures {
    /// No figures yet.
    pub fn new(pulse: Pulse) -> Self {
        let state = State {
            containers: BTreeMap::new(),
            counters: BTreeMap::new(),
            host: Series::new(KEPT),
            host_seq: 0,
        };
        Self {
            epoch: new_epoch(),
            pulse,
            state: Mutex::new(state),
        }
    }

    /// One round of one engine's containers, all at once.
    pub(crate) fn put(&self, engine: &EngineName, round: Vec<(String, FigureSource, StatsPoint)>) {
        if round.is_empty() {
            return;
        }
        let mut state = self.lock();
        let engine = state.containers.entry(engine.clone()).or_default();
        engine.seq += 1;
        let seq = engine.seq;
        for (id, source, point) in round {
            let container = engine.containers.entry(id).or_insert_with(|| Container {
                source,
                series: Series::new(KEPT),
                seq,
            });
            container.source = source;
            container.seq = seq;
            container.series.push(point);
        }
        drop(state);
        self.pulse.mark();
    }

    /// The newest reading of a container's counters.
    pub(super) fn put_counters(&self, engine: &EngineName, id: &str, counters: observe::Figures) {
        self.lock()
            .counters
            .entry(engine.clone())
            .or_default()
            .insert(id.to_owned(), counters);
    }

    /// The newest reading of a container's counters; none before the first.
    pub(crate) fn counters(&self, engine: &EngineName, id: &str) -> Option<observe::Figures> {
        self.lock().counters.get(engine)?.get(id).cloned()
    }

    /// Keeps only these containers; called when one is removed.
    pub(crate) fn retain(&self, engine: &EngineName, keep: impl Fn(&str) -> bool) {
        let mut state = self.lock();
        if let Some(engine) = state.containers.get_mut(engine) {
            engine.containers.retain(|id, _| keep(id));
        }
        if let Some(counters) = state.counters.get_mut(engine) {
            counters.retain(|id, _| keep(id));
        }
    }

    /// Points of every container since a time in milliseconds, by `engine/id`.
    pub(crate) fn all_since(&self, since_ms: i64) -> Vec<(String, Vec<StatsPoint>)> {
        let state = self.lock();
        let all = state
            .containers
            .iter()
            .flat_map(|(name, engine)| engine.containers.iter().map(move |c| (name, c)));
        all.map(|(engine, (id, container))| {
            let points = container
                .series
                .iter()
                .filter(|point| point.time_ms >= since_ms)
                .cloned()
                .collect();
            (format!("{engine}/{id}"), points)
        })
        .collect()
    }

    /// One round of the host.
    pub(crate) fn put_host(&self, figures: HostFigures) {
        let mut state = self.lock();
        state.host.push(figures);
        state.host_seq += 1;
        drop(state);
        self.pulse.mark();
    }

    /// The newest figures of the host; none before the second round and where the host cannot be read.
    pub fn host(&self) -> Option<HostFigures> {
        self.lock().host.last().cloned()
    }

    /// The host's points since a time in milliseconds.
    pub(crate) fn host_since(&self, since_ms: i64) -> Vec<HostFigures> {
        self.lock()
            .host
            .iter()
            .filter(|point| point.time_ms >= since_ms)
            .cloned()
            .collect()
    }

    /// The newest figures of a container.
    pub fn latest(&self, engine: &EngineName, id: &str) -> Option<ContainerStats> {
        let state = self.lock();
        let container = state.containers.get(engine)?.containers.get(id)?;
        container.latest(engine, id)
    }

    /// A container's points since a time in milliseconds, and where they come from.
    pub(crate) fn since(
        &self,
        engine: &EngineName,
        id: &str,
        since_ms: i64,
    ) -> Option<(FigureSource, Vec<StatsPoint>)> {
        let state = self.lock();
        let container = state.containers.get(engine)?.containers.get(id)?;
        let points = container
            .series
            .iter()
            .filter(|point| point.time_ms >= since_ms)
            .cloned()
            .collect();
        Some((container.source, points))
    }

    /// A subscription to one engine's figures.
    pub(crate) fn stats_feed(
        self: &Arc<Self>,
        args: &StatsArgs,
        from: Option<&Position>,
    ) -> StatsFeed {
        StatsFeed {
            figures: self.clone(),
            engine: args.engine.clone(),
            container: args.container.as_ref().map(ToString::to_string),
            last: self.resumed(from),
            pace: Pace::new(args.hz),
        }
    }

    /// A subscription to the host's figures.
    pub(crate) fn host_feed(
        self: &Arc<Self>,
        hz: Option<f64>,
        from: Option<&Position>,
    ) -> HostFeed {
        HostFeed {
            figures: self.clone(),
            last: self.resumed(from),
            pace: Pace::new(hz),
        }
    }

    fn resumed(&self, from: Option<&Position>) -> Option<u64> {
        from.filter(|p| *p.epoch == *self.epoch).map(|p| p.seq)
    }

    fn frame(&self, last: Option<u64>, seq: u64, data: String) -> Frame {
        // Latest wins: a reader that left some out gets the newest as a new beginning.
        if last.is_some_and(|last| last + 1 == seq) {
            Frame::Delta { seq, data }
        } else {
            Frame::Snap {
                epoch: self.epoch.clone(),
                seq,
                data,
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Container {
    fn latest(&self, engine: &EngineName, id: &str) -> Option<ContainerStats> {
        let point = self.series.last()?.clone();
        Some(ContainerStats {
            engine: engine.clone(),
            id: id.to_owned(),
            source: self.source,
            point,
        })
    }
}

/// How often a reader wants figures.
#[derive(Debug)]
struct Pace {
    least: Duration,
    sent: Option<Instant>,
}

impl Pace {
    fn new(hz: Option<f64>) -> Self {
        let hz = hz
            .filter(|hz| hz.is_finite())
            .unwrap_or(1.0)
            .clamp(0.1, 2.0);
        // A little less than the period, so that the sampler's own unevenness does not skip a round.
        Self {
            least: Duration::from_secs_f64(0.8 / hz),
            sent: None,
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        self.sent
            .is_none_or(|sent| now.saturating_duration_since(sent) >= self.least)
    }
}

/// One reader of an engine's figures.
#[derive(Debug)]
pub(crate) struct StatsFeed {
    figures: Arc<Figures>,
    engine: EngineName,
    container: Option<String>,
    last: Option<u64>,
    pace: Pace,
}

impl Feed for StatsFeed {
    fn poll(&mut self, now: Instant) -> Option<Frame> {
        if self.last.is_some() && !self.pace.is_due(now) {
            return None;
        }
        let figures = self.figures.clone();
        let state = figures.lock();
        let (seq, containers) = state
            .containers
            .get(&self.engine)
            .map_or((0, None), |engine| (engine.seq, Some(&engine.containers)));
        if self.last == Some(seq) {
            return None;
        }
        let stats = containers
            .into_iter()
            .flatten()
            .filter(|(_, container)| container.seq > self.last.unwrap_or(0))
            .filter(|(id, _)| self.container.as_ref().is_none_or(|wanted| wanted == *id))
            .filter_map(|(id, container)| container.latest(&self.engine, id))
            .collect();
        drop(state);
        let data = serde_json::to_string(&StatsSnapshot { stats }).unwrap_or_default();
        let frame = figures.frame(self.last, seq, data);
        self.last = Some(seq);
        self.pace.sent = Some(now);
        Some(frame)
    }
}

/// One reader of the host's figures.
#[derive(Debug)]
pub(crate) struct HostFeed {
    figures: Arc<Figures>,
    last: Option<u64>,
    pace: Pace,
}

impl Feed for HostFeed {
    fn poll(&mut self, now: Instant) -> Option<Frame> {
        if self.last.is_some() && !self.pace.is_due(now) {
            return None;
        }
        let figures = self.figures.clone();
        let state = figures.lock();
        let seq = state.host_seq;
        // There is no empty snapshot of the host: nothing is said until there is something.
        let point = state
            .host
            .last()
            .filter(|_| self.last != Some(seq))?
            .clone();
        drop(state);
        let data = serde_json::to_string(&HostSnapshot { figures: point }).unwrap_or_default();
        let frame = figures.frame(self.last, seq, data);
        self.last = Some(seq);
        self.pace.sent = Some(now);
        Some(frame)
    }
}
