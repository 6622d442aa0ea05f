//! All sources of the live socket in one place: who changes something puts it here, every socket reads from here.

use std::{collections::BTreeMap, sync::Arc};

use api::{
    id::EngineName,
    live::{Position, Topic},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Journal, Ledger, Places, Pulse, feed::Feed, pulse::new_epoch};
use crate::{
    logs::{BadCursor, Feeds},
    metrics::Figures,
};

/// The sources of all topics.
#[derive(Debug)]
pub struct Hub {
    /// This run of the server.
    pub epoch: String,
    /// The clock of all sources.
    pub pulse: Pulse,
    /// How many sockets each session has.
    pub sockets: Places,
    /// Topic `engines`: `EngineInfo` by engine name.
    pub engines: Ledger,
    /// Topic `jobs`: `Job` by id.
    pub jobs: Ledger,
    /// Topic `alerts`: `Alert` by id.
    pub alerts: Ledger,
    /// Figures of containers and the host.
    pub figures: Arc<Figures>,
    /// Logs that are watched.
    pub logs: Feeds,
    lists: BTreeMap<EngineName, EngineLists>,
}

/// The lists of one engine, which its mirror keeps.
#[derive(Debug)]
pub struct EngineLists {
    /// `ContainerSummary` by id.
    pub containers: Ledger,
    /// `ImageSummary` by id.
    pub images: Ledger,
    /// `VolumeSummary` by name.
    pub volumes: Ledger,
    /// `NetworkSummary` by id.
    pub networks: Ledger,
    /// The latest events.
    pub events: Journal,
}

/// Why there is no subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SubscribeError {
    /// There is no such engine.
    #[error("find engine {0}: there is none of this name")]
    NoSuchEngine(EngineName),
    /// `since` of a `logs` subscription cannot be read.
    #[error(transparent)]
    BadCursor(#[from] BadCursor),
}

/// A log to subscribe to: the container's full id at an engine that can be asked.
#[derive(Debug, Clone)]
pub(crate) struct LogTarget {
    pub(crate) docker: bollard::Docker,
    pub(crate) id: String,
}

impl Hub {
    /// Empty sources for these engines. `tasks` and `stop` own what runs behind them.
    pub fn new(
        engines: impl IntoIterator<Item = EngineName>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Arc<Self> {
        let pulse = Pulse::default();
        tasks.spawn(pulse.clone().run(stop.clone()));
        let lists = engines
            .into_iter()
            .map(|name| (name, EngineLists::new(&pulse)))
            .collect();
        Arc::new(Self {
            epoch: new_epoch().to_string(),
            sockets: Places::default(),
            engines: Ledger::new(pulse.clone()),
            jobs: Ledger::new(pulse.clone()),
            alerts: Ledger::new(pulse.clone()),
            figures: Arc::new(Figures::new(pulse.clone())),
            logs: Feeds::new(pulse.clone(), tasks.clone(), stop.clone()),
            pulse,
            lists,
        })
    }

    /// The lists of an engine; none when there is no such engine.
    pub fn lists(&self, engine: &EngineName) -> Option<&EngineLists> {
        self.lists.get(engine)
    }

    /// Opens a subscription; `target` is needed for topic `logs` only.
    ///
    /// # Errors
    /// [`SubscribeError`] when the topic names what is not there.
    pub(crate) fn subscribe(
        &self,
        topic: &Topic,
        from: Option<&Position>,
        target: Option<LogTarget>,
    ) -> Result<Box<dyn Feed>, SubscribeError> {
        let lists = |engine: &EngineName| {
            self.lists(engine)
                .ok_or_else(|| SubscribeError::NoSuchEngine(engine.clone()))
        };
        Ok(match topic {
            Topic::Engines(_) => Box::new(self.engines.feed(from)),
            Topic::Jobs(_) => Box::new(self.jobs.feed(from)),
            Topic::Alerts(_) => Box::new(self.alerts.feed(from)),
            Topic::Containers(args) => Box::new(lists(&args.engine)?.containers.feed(from)),
            Topic::Images(args) => Box::new(lists(&args.engine)?.images.feed(from)),
            Topic::Volumes(args) => Box::new(lists(&args.engine)?.volumes.feed(from)),
            Topic::Networks(args) => Box::new(lists(&args.engine)?.networks.feed(from)),
            Topic::Events(args) => Box::new(lists(&args.engine)?.events.feed(from)),
            Topic::Stats(args) => {
                lists(&args.engine)?;
                Box::new(self.figures.stats_feed(args, from))
            }
            Topic::Host(args) => Box::new(self.figures.host_feed(args.hz, from)),
            Topic::Logs(args) => {
                let target =
                    target.ok_or_else(|| SubscribeError::NoSuchEngine(args.engine.clone()))?;
                let since = args.since.as_deref().map(str::parse).transpose()?;
                Box::new(self.logs.subscribe(
                    target.docker,
                    (args.engine.to_string(), target.id),
                    args.tail,
                    since,
                    from,
                ))
            }
        })
    }
}

impl EngineLists {
    fn new(pulse: &Pulse) -> Self {
        Self {
            containers: Ledger::new(pulse.clone()),
            images: Ledger::new(pulse.clone()),
            volumes: Ledger::new(pulse.clone()),
            networks: Ledger::new(pulse.clone()),
            events: Journal::new(pulse.clone()),
        }
    }
}
