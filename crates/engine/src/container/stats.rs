//! What a container uses, once or every second.

mod figures;

use std::{sync::Arc, time::Duration};

use cgroups::{Controller, StatsReader, stats::Detail};
use futures_util::{Stream, stream};
use tokio::time::{Interval, MissedTickBehavior, interval};

pub(crate) use self::figures::StatsFrame;
use self::figures::{Figures, Surroundings, interfaces};
use super::handle::Container;
use crate::{
    blocking,
    error::Result,
    host::{self, CpuTime},
    time,
};

/// From one frame to the next.
const PERIOD: Duration = Duration::from_secs(1);

impl Container {
    /// Returns one frame. Without `at_once` it is measured for a second, so that it has a frame before it to compare
    /// with; one of a container that does not run is all zeros, at once.
    ///
    /// # Errors
    /// `Internal` when the measuring breaks down; what the kernel does not say is zero.
    pub(crate) async fn stats_once(self: &Arc<Self>, at_once: bool) -> Result<StatsFrame> {
        let mut sampler = Sampler::new(Arc::clone(self));
        if !at_once && self.running().is_some() {
            sampler.next().await?;
            tokio::time::sleep(PERIOD).await;
        }
        sampler.next().await
    }

    /// Returns a frame every second, zeros while it does not run, until it is removed.
    pub(crate) fn stats(self: &Arc<Self>) -> impl Stream<Item = Result<StatsFrame>> + Send + use<> {
        let mut ticks = interval(PERIOD);
        // A client that does not keep up gets fewer frames.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        stream::unfold(
            (Sampler::new(Arc::clone(self)), ticks),
            |(mut sampler, mut ticks)| async move {
                if sampler.tick(&mut ticks).await {
                    let frame = sampler.next().await;
                    Some((frame, (sampler, ticks)))
                } else {
                    None
                }
            },
        )
    }
}

/// Takes one measurement after the other.
struct Sampler {
    container: Arc<Container>,
    /// The files of the run that was measured last.
    meter: Option<Meter>,
    before: Figures,
}

/// The files of one run. Everything blocks.
struct Meter {
    pid: i32,
    io_is_v2: bool,
    own_network: bool,
    reader: StatsReader,
}

impl Sampler {
    fn new(container: Arc<Container>) -> Self {
        Self {
            container,
            meter: None,
            before: Figures::default(),
        }
    }

    /// Waits for the next frame's time; returns whether there will be one.
    async fn tick(&self, ticks: &mut Interval) -> bool {
        let mut phases = self.container.phase();
        let removed = async {
            // Its sender lives in the container, which we hold.
            drop(phases.wait_for(|phase| phase.removed).await);
        };
        tokio::select! {
            biased;
            () = removed => false,
            _ = ticks.tick() => true,
        }
    }

    async fn next(&mut self) -> Result<StatsFrame> {
        let container = Arc::clone(&self.container);
        let meter = self.meter.take();
        let measured = blocking::run(move || Ok(measure(&container, meter))).await?;
        let (figures, meter) = measured.unzip();
        self.meter = meter;
        let figures = figures.unwrap_or_default();
        let frame = figures.frame(&self.before, self.container.id(), &self.container.name());
        self.before = figures;
        Ok(frame)
    }
}

/// Measures a container; `None` when it does not run, or ends right now.
fn measure(container: &Container, meter: Option<Meter>) -> Option<(Figures, Meter)> {
    let pid = container.running()?.pid;
    let mut meter = match meter.filter(|meter| meter.pid == pid) {
        Some(meter) => meter,
        None => Meter::open(container, pid)?,
    };
    let figures = meter.read()?;
    Some((figures, meter))
}

impl Meter {
    fn open(container: &Container, pid: i32) -> Option<Self> {
        let cgroup = match container.cgroup() {
            Ok(cgroup) => cgroup,
            Err(error) => {
                tracing::debug!(%error, container = container.id(), "open its cgroup");
                return None;
            }
        };
        let record = container.record();
        let mode = record.host_config.network_mode.as_deref();
        Some(Self {
            pid,
            io_is_v2: cgroup
                .directory_of(Controller::Io)
                .is_some_and(|directory| directory.v2),
            own_network: mode != Some("host"),
            reader: StatsReader::open(&cgroup, Detail::Full),
        })
    }

    fn read(&mut self) -> Option<Figures> {
        let stats = self.reader.read().ok()?;
        let networks = self.own_network.then(|| {
            let content = std::fs::read_to_string(format!("/proc/{}/net/dev", self.pid));
            interfaces(&content.unwrap_or_default())
        });
        let around = Surroundings {
            host_cpu: CpuTime::now(),
            host_memory_bytes: host::memory_total_bytes(),
            io_is_v2: self.io_is_v2,
            networks: networks.filter(|all| !all.is_empty()),
        };
        Some(Figures::new(time::now_ns(), stats, around))
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, process::Command};

    use bollard_stubs::models::HostConfig;
    use cgroups::{Cgroup, Layout};
    use futures_util::StreamExt as _;

    use super::*;
    use crate::container::fixture;

    fn json(frame: &StatsFrame) -> serde_json::Value {
        serde_json::to_value(frame).unwrap()
    }

    #[tokio::test]
    async fn a_stopped_container_has_zeros_until_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let container = fixture::container(dir.path(), HostConfig::default());
        let once = container.stats_once(false).await.unwrap();
        assert_eq!(json(&once)["read"], time::ZERO);
        let mut frames = pin!(container.stats());
        for _ in 0..2 {
            let frame = frames.next().await.unwrap().unwrap();
            assert_eq!(json(&frame), json(&once));
        }
        container.set_phase(|phase| phase.removed = true);
        assert!(frames.next().await.is_none());
    }

    #[test]
    fn kernel_a_run_is_measured_from_its_cgroup() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: making cgroups needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let container = fixture::container(dir.path(), HostConfig::default());
        let layout = Layout::detect().unwrap();
        let cgroup = Cgroup::create(&layout, container.cgroup_path()).unwrap();
        let mut program = Command::new("sleep").arg("1000").spawn().unwrap();
        cgroup.add_process(program.id()).unwrap();
        let pid = i32::try_from(program.id()).unwrap();
        let mut meter = Meter::open(&container, pid).unwrap();
        let figures = meter.read().unwrap();
        let frame = json(&figures.frame(&Figures::default(), container.id(), "test"));
        program.kill().unwrap();
        program.wait().unwrap();
        let patience = Duration::from_secs(5);
        cgroup.remove(patience).unwrap();
        let (parent, _) = container.cgroup_path().rsplit_once('/').unwrap();
        let parent = Cgroup::open(&layout, parent).unwrap();
        parent.remove(patience).unwrap();

        assert!(meter.read().is_none());
        assert_eq!(frame["pids_stats"]["current"], 1, "{frame}");
        assert!(frame["memory_stats"]["limit"].as_u64().unwrap() > 1 << 20);
        let stat = &frame["memory_stats"]["stats"];
        let inactive = ["total_inactive_file", "inactive_file"].map(|key| stat[key].is_u64());
        assert!(inactive.contains(&true), "{frame}");
        assert!(frame["cpu_stats"]["system_cpu_usage"].as_u64().unwrap() > 0);
        assert!(frame["cpu_stats"]["online_cpus"].as_u64().unwrap() > 0);
    }
}
