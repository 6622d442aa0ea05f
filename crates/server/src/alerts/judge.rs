//! Decides what rules find at a moment. Pure: the same moments give the same findings, whatever the clock.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use api::{
    alert::{AlertCondition, AlertRule},
    container::{ContainerState, ContainerSummary, Health},
    engine::EngineState,
    host::HostFigures,
    id::{AlertRuleId, EngineName},
    stats::StatsPoint,
};
use jiff::Timestamp;

/// What was found is over when it was not seen for so long: figures that swing around a limit must not ring twice a minute.
const OVER_AFTER: Duration = Duration::from_secs(15);
/// A kill for lack of memory counts for so long.
const OOM_COUNTS: Duration = Duration::from_mins(10);
/// Figures older than this tell nothing.
const FRESH: Duration = Duration::from_secs(10);
/// A container that ended with an error longer ago is no news.
const NEWS: Duration = Duration::from_hours(24);
/// Exit codes of programs that ended well or were told to: 0 and SIGTERM.
const STOPPED: [i64; 2] = [0, 143];

/// All that rules look at, at one moment.
#[derive(Debug)]
pub(super) struct Moment {
    pub(super) now: Timestamp,
    pub(super) engines: Vec<(EngineName, EngineState)>,
    pub(super) containers: Vec<(Arc<ContainerSummary>, Option<StatsPoint>)>,
    pub(super) host: Option<HostFigures>,
}

/// What a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    pub(super) engine: Option<EngineName>,
    /// A container's id, a mount point, an engine's name, `host`.
    pub(super) id: String,
}

/// One rule and what it is about.
pub(super) type Key = (AlertRuleId, Subject);

/// What changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    /// A rule found something.
    Fires {
        key: Key,
        subject_name: String,
        text: String,
    },
    /// It is over.
    Over { key: Key },
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    first: Timestamp,
    last: Timestamp,
    fires: bool,
}

#[derive(Debug)]
struct Past {
    restarts: VecDeque<(Timestamp, u64)>,
    oom_kills: Option<u64>,
    killed_at: Option<Timestamp>,
}

/// Remembers what was seen between moments.
#[derive(Debug, Default)]
pub(super) struct Judge {
    seen: HashMap<Key, Seen>,
    past: HashMap<Subject, Past>,
}

impl Judge {
    /// Goes on with what fired before a restart.
    pub(super) fn resume(
        firing: impl IntoIterator<Item = (Key, Timestamp)>,
        now: Timestamp,
    ) -> Self {
        let seen = firing
            .into_iter()
            .map(|(key, first)| {
                let seen = Seen {
                    first,
                    last: now,
                    fires: true,
                };
                (key, seen)
            })
            .collect();
        Self {
            seen,
            past: HashMap::new(),
        }
    }

    /// Looks at a moment and tells what changed.
    pub(super) fn look(&mut self, rules: &[AlertRule], moment: &Moment) -> Vec<Change> {
        self.remember(moment);
        let connected: HashSet<&EngineName> = moment
            .engines
            .iter()
            .filter(|(_, state)| *state == EngineState::Connected)
            .map(|(name, _)| name)
            .collect();
        let mut changes = Vec::new();
        let mut held: HashSet<AlertRuleId> = HashSet::new();
        for rule in rules.iter().filter(|rule| rule.rule.enabled) {
            held.insert(rule.id.clone());
            for (subject, subject_name, text) in self.findings(rule, moment, &connected) {
                let key = (rule.id.clone(), subject);
                let seen = self.seen.entry(key.clone()).or_insert(Seen {
                    first: moment.now,
                    last: moment.now,
                    fires: false,
                });
                seen.last = moment.now;
                let lasted = moment.now.duration_since(seen.first);
                if !seen.fires && lasted.as_secs() >= i64::from(rule.rule.for_s) {
                    seen.fires = true;
                    changes.push(Change::Fires {
                        key,
                        subject_name,
                        text,
                    });
                }
            }
        }
        let is_container_rule: HashMap<&AlertRuleId, bool> = rules
            .iter()
            .map(|rule| (&rule.id, is_about_containers(rule.rule.condition)))
            .collect();
        self.seen.retain(|key, seen| {
            // Of an engine that does not answer nobody knows whether it is over.
            let unknown = is_container_rule.get(&key.0) == Some(&true)
                && key
                    .1
                    .engine
                    .as_ref()
                    .is_some_and(|engine| !connected.contains(engine));
            if unknown && held.contains(&key.0) {
                return true;
            }
            let absent = moment.now.duration_since(seen.last);
            let over = !held.contains(&key.0)
                || absent.as_millis() >= i128::try_from(OVER_AFTER.as_millis()).unwrap_or_default();
            // What has not lasted long enough begins anew after any moment without it.
            let keep = if seen.fires {
                !over
            } else {
                seen.last == moment.now
            };
            if !keep && seen.fires {
                changes.push(Change::Over { key: key.clone() });
            }
            keep
        });
        changes
    }

    fn remember(&mut self, moment: &Moment) {
        let day = Duration::from_hours(24);
        let mut here = HashSet::new();
        for (container, point) in &moment.containers {
            let subject = of_container(container);
            let past = self.past.entry(subject.clone()).or_insert_with(|| Past {
                restarts: VecDeque::new(),
                oom_kills: None,
                killed_at: None,
            });
            if past.restarts.back().map(|(_, count)| *count) != Some(container.restart_count) {
                past.restarts
                    .push_back((moment.now, container.restart_count));
            }
            while past.restarts.len() > 200
                || past
                    .restarts
                    .get(1)
                    .is_some_and(|(time, _)| *time + day < moment.now)
            {
                past.restarts.pop_front();
            }
            if let Some(kills) = point.as_ref().and_then(|point| point.oom_kills_total) {
                if past.oom_kills.is_some_and(|before| kills > before) {
                    past.killed_at = Some(moment.now);
                }
                past.oom_kills = Some(kills);
            }
            if container.oom_killed
                && let Some(ended) = container.finished_at
                && past.killed_at.is_none_or(|before| ended > before)
            {
                past.killed_at = Some(ended);
            }
            here.insert(subject);
        }
        self.past.retain(|subject, _| here.contains(subject));
    }

    /// What a rule sees at this moment: what it is about, its name, and a sentence.
    fn findings(
        &self,
        rule: &AlertRule,
        moment: &Moment,
        connected: &HashSet<&EngineName>,
    ) -> Vec<(Subject, String, String)> {
        let condition = rule.rule.condition;
        let engine_fits =
            |engine: &EngineName| rule.rule.engine.as_ref().is_none_or(|only| only == engine);
        let of_host = |id: &str, text: String| {
            let subject = Subject {
                engine: None,
                id: id.to_owned(),
            };
            (subject, id.to_owned(), text)
        };
        match condition {
            AlertCondition::EngineDown => moment
                .engines
                .iter()
                .filter(|(name, state)| *state == EngineState::Unreachable && engine_fits(name))
                .map(|(name, _)| {
                    let subject = Subject {
                        engine: Some(name.clone()),
                        id: name.to_string(),
                    };
                    (
                        subject,
                        name.to_string(),
                        format!("the engine {name} does not answer"),
                    )
                })
                .collect(),
            AlertCondition::DiskAbove { percent } => {
                let disks = moment.host.iter().flat_map(|host| &host.disks);
                disks
                    .filter_map(|disk| {
                        // As df shows it: without what is kept for root.
                        let usable = disk.used_bytes + disk.available_bytes;
                        let full = share(disk.used_bytes, usable)?;
                        (full > percent).then(|| {
                            let text = format!(
                                "{} is {full:.0} % full, above {percent:.0} %",
                                disk.mount_point
                            );
                            of_host(&disk.mount_point, text)
                        })
                    })
                    .collect()
            }
            AlertCondition::HostCpuAbove { percent } => moment
                .host
                .iter()
                .filter(|host| host.cpu_percent > percent)
                .map(|host| {
                    let busy = host.cpu_percent;
                    let text = format!(
                        "the machine's processors are {busy:.0} % busy, above {percent:.0} %"
                    );
                    of_host("host", text)
                })
                .collect(),
            AlertCondition::HostMemoryAbove { percent } => moment
                .host
                .iter()
                .filter_map(|host| {
                    let full = share(host.memory_used_bytes, host.memory_total_bytes)?;
                    (full > percent).then(|| {
                        let text = format!(
                            "the machine's memory is {full:.0} % full, above {percent:.0} %"
                        );
                        of_host("host", text)
                    })
                })
                .collect(),
            _ => moment
                .containers
                .iter()
                .filter(|(container, _)| {
                    connected.contains(&container.engine)
                        && engine_fits(&container.engine)
                        && rule
                            .rule
                            .container
                            .as_ref()
                            .is_none_or(|pattern| fits(pattern, &container.name))
                })
                .filter_map(|(container, point)| {
                    let point = point.as_ref().filter(|point| {
                        moment.now.as_millisecond() - point.time_ms
                            < i64::try_from(FRESH.as_millis()).unwrap_or_default()
                    });
                    let text = self.of_one(condition, container, point, moment)?;
                    Some((of_container(container), container.name.clone(), text))
                })
                .collect(),
        }
    }

    /// What a condition says of one container.
    fn of_one(
        &self,
        condition: AlertCondition,
        container: &ContainerSummary,
        point: Option<&StatsPoint>,
        moment: &Moment,
    ) -> Option<String> {
        let name = &container.name;
        let runs = matches!(
            container.state,
            ContainerState::Running | ContainerState::Paused
        );
        let past = self.past.get(&of_container(container));
        match condition {
            AlertCondition::ContainerDown { also_when_stopped } => {
                let down = match container.state {
                    ContainerState::Dead => true,
                    ContainerState::Exited => {
                        also_when_stopped
                            || (container
                                .exit_code
                                .is_some_and(|code| !STOPPED.contains(&code))
                                && container
                                    .finished_at
                                    .is_none_or(|ended| ended + NEWS > moment.now))
                    }
                    _ => false,
                };
                down.then(|| format!("{name} is down: {}", container.state_text))
            }
            AlertCondition::Unhealthy => (runs && container.health == Some(Health::Unhealthy))
                .then(|| format!("{name} is unhealthy: its health check fails")),
            AlertCondition::RestartLoop { restarts, within_s } => {
                let since = moment.now - Duration::from_secs(u64::from(within_s));
                let counts = &past?.restarts;
                let now = counts.back()?.1;
                // The count that held when the window began; of one seen later, its first.
                let before = counts
                    .iter()
                    .rev()
                    .find(|(time, _)| *time <= since)
                    .or(counts.front())?
                    .1;
                let risen = now.saturating_sub(before);
                (risen >= u64::from(restarts))
                    .then(|| format!("{name} was restarted {risen} times within {within_s} s"))
            }
            AlertCondition::OutOfMemory => {
                let killed = past?.killed_at?;
                (killed + OOM_COUNTS > moment.now)
                    .then(|| format!("the kernel killed a process of {name} for lack of memory"))
            }
            AlertCondition::CpuAbove { percent } => {
                let point = point.filter(|_| runs)?;
                let most = point.cpu_limit_percent.or_else(|| {
                    let cores = moment.host.as_ref()?.cpu_per_core_percent.len();
                    u32::try_from(cores * 100).ok().map(f64::from)
                })?;
                let used = (most > 0.0).then(|| point.cpu_percent * 100.0 / most)?;
                (used > percent).then(|| {
                    format!("{name} uses {used:.0} % of its processor time, above {percent:.0} %")
                })
            }
            AlertCondition::MemoryAbove { percent } => {
                let point = point.filter(|_| runs)?;
                let machine = moment.host.as_ref().map(|host| host.memory_total_bytes);
                let most = point.memory_limit_bytes.or(machine)?;
                let used = share(point.memory_working_set_bytes, most)?;
                (used > percent)
                    .then(|| format!("{name} uses {used:.0} % of its memory, above {percent:.0} %"))
            }
            AlertCondition::DiskAbove { .. }
            | AlertCondition::HostCpuAbove { .. }
            | AlertCondition::HostMemoryAbove { .. }
            | AlertCondition::EngineDown => None,
        }
    }
}

fn is_about_containers(condition: AlertCondition) -> bool {
    !matches!(
        condition,
        AlertCondition::DiskAbove { .. }
            | AlertCondition::HostCpuAbove { .. }
            | AlertCondition::HostMemoryAbove { .. }
            | AlertCondition::EngineDown
    )
}

fn of_container(container: &ContainerSummary) -> Subject {
    Subject {
        engine: Some(container.engine.clone()),
        id: container.id.clone(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// Compares a name with a pattern in which `*` stands for any characters.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else {
        return rest.is_empty();
    };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use api::{
        alert::{AlertRuleRequest, Severity},
        host::DiskFigures,
    };

    use super::*;

    fn name(text: &str) -> EngineName {
        EngineName::parse(text).unwrap()
    }

    fn rule(condition: AlertCondition, for_s: u32) -> AlertRule {
        AlertRule {
            id: AlertRuleId::parse("0123456789abcdef").unwrap(),
            rule: AlertRuleRequest {
                name: "r".into(),
                enabled: true,
                condition,
                for_s,
                engine: None,
                container: None,
                severity: Severity::Warning,
                channels: None,
            },
        }
    }

    fn web() -> ContainerSummary {
        ContainerSummary {
            engine: name("docker"),
            id: "1".repeat(64),
            name: "web".into(),
            image: "x".into(),
            image_id: "x".into(),
            command: String::new(),
            state: ContainerState::Running,
            health: None,
            exit_code: None,
            oom_killed: false,
            state_text: "Running".into(),
            created_at: None,
            started_at: None,
            finished_at: None,
            restart_count: 0,
            pid: Some(1),
            ports: Vec::new(),
            labels: [].into(),
            project: None,
            service: None,
            networks: Vec::new(),
            volumes: Vec::new(),
            memory_limit_bytes: None,
            cpu_limit_cores: None,
        }
    }

    /// Seconds of a story, with the state of one container at each.
    struct Story {
        judge: Judge,
        rules: Vec<AlertRule>,
        engine: EngineState,
        host: Option<HostFigures>,
    }

    impl Story {
        fn of(rule: AlertRule) -> Self {
            Self {
                judge: Judge::default(),
                rules: vec![rule],
                engine: EngineState::Connected,
                host: None,
            }
        }

        /// `+` fires, `-` is over, nothing otherwise.
        fn at(
            &mut self,
            second: i64,
            container: Option<ContainerSummary>,
            point: Option<StatsPoint>,
        ) -> &'static str {
            let moment = Moment {
                now: Timestamp::from_second(1_700_000_000 + second).unwrap(),
                engines: vec![(name("docker"), self.engine)],
                containers: container
                    .map(|c| (Arc::new(c), point))
                    .into_iter()
                    .collect(),
                host: self.host.clone(),
            };
            match self.judge.look(&self.rules, &moment).as_slice() {
                [] => "",
                [Change::Fires { text, .. }] => {
                    assert!(!text.is_empty());
                    "+"
                }
                [Change::Over { .. }] => "-",
                more => panic!("{more:?}"),
            }
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as a story takes it")]
    fn ended(code: i64) -> Option<ContainerSummary> {
        Some(ContainerSummary {
            state: ContainerState::Exited,
            exit_code: Some(code),
            state_text: format!("Exited with {code}"),
            ..web()
        })
    }

    #[test]
    fn a_container_that_ended_with_an_error_fires_once_and_is_over_when_it_runs() {
        let mut story = Story::of(rule(
            AlertCondition::ContainerDown {
                also_when_stopped: false,
            },
            0,
        ));
        assert_eq!(story.at(0, Some(web()), None), "");
        assert_eq!(story.at(5, ended(1), None), "+");
        assert_eq!(story.at(10, ended(1), None), "");
        assert_eq!(story.at(15, Some(web()), None), "");
        assert_eq!(story.at(24, Some(web()), None), "");
        assert_eq!(story.at(25, Some(web()), None), "-");
        for stopped in [0, 143] {
            assert_eq!(story.at(30, ended(stopped), None), "");
        }
        let mut strict = Story::of(rule(
            AlertCondition::ContainerDown {
                also_when_stopped: true,
            },
            0,
        ));
        assert_eq!(strict.at(0, ended(0), None), "+");
        // Removed: there is nothing left to be down.
        assert_eq!(strict.at(60, None, None), "-");
    }

    #[test]
    fn what_does_not_last_does_not_fire_and_begins_anew() {
        let mut story = Story::of(rule(AlertCondition::Unhealthy, 60));
        let ill = || {
            Some(ContainerSummary {
                health: Some(Health::Unhealthy),
                ..web()
            })
        };
        assert_eq!(story.at(0, ill(), None), "");
        assert_eq!(story.at(55, ill(), None), "");
        assert_eq!(story.at(58, Some(web()), None), "");
        assert_eq!(story.at(61, ill(), None), "");
        assert_eq!(story.at(120, ill(), None), "");
        assert_eq!(story.at(121, ill(), None), "+");
    }

    #[test]
    fn while_an_engine_is_away_nothing_of_its_containers_is_over() {
        let mut story = Story::of(rule(
            AlertCondition::ContainerDown {
                also_when_stopped: false,
            },
            0,
        ));
        assert_eq!(story.at(0, ended(1), None), "+");
        story.engine = EngineState::Unreachable;
        assert_eq!(story.at(100, None, None), "");
        story.engine = EngineState::Connected;
        assert_eq!(story.at(105, ended(1), None), "");
        let mut engine = Story::of(rule(AlertCondition::EngineDown, 10));
        engine.engine = EngineState::Unreachable;
        assert_eq!(engine.at(0, None, None), "");
        assert_eq!(engine.at(10, None, None), "+");
        engine.engine = EngineState::Connected;
        assert_eq!(engine.at(30, None, None), "-");
        // One that is not installed is not down.
        engine.engine = EngineState::Absent;
        assert_eq!(engine.at(60, None, None), "");
    }

    #[test]
    fn restarts_are_counted_in_their_window() {
        let mut story = Story::of(rule(
            AlertCondition::RestartLoop {
                restarts: 3,
                within_s: 60,
            },
            0,
        ));
        let with = |restart_count| {
            Some(ContainerSummary {
                restart_count,
                ..web()
            })
        };
        // What it did before anyone looked does not count.
        assert_eq!(story.at(0, with(7), None), "");
        assert_eq!(story.at(50, with(8), None), "");
        assert_eq!(story.at(100, with(9), None), "");
        assert_eq!(
            story.at(105, with(10), None),
            "+",
            "8 to 10 and one more within the window"
        );
        assert_eq!(story.at(200, with(10), None), "-");
    }

    #[test]
    fn kills_for_lack_of_memory_are_seen_in_the_counter_and_in_the_state() {
        let point = |kills| {
            Some(StatsPoint {
                oom_kills_total: Some(kills),
                ..point()
            })
        };
        let mut story = Story::of(rule(AlertCondition::OutOfMemory, 0));
        assert_eq!(story.at(0, Some(web()), point(3)), "");
        assert_eq!(story.at(5, Some(web()), point(4)), "+");
        assert_eq!(story.at(604, Some(web()), point(4)), "");
        assert_eq!(story.at(625, Some(web()), point(4)), "-");
        let mut state = Story::of(rule(AlertCondition::OutOfMemory, 0));
        let killed = ContainerSummary {
            state: ContainerState::Exited,
            oom_killed: true,
            finished_at: Timestamp::from_second(1_700_000_000).ok(),
            ..web()
        };
        assert_eq!(state.at(10, Some(killed.clone()), None), "+");
        assert_eq!(state.at(700, Some(killed), None), "-");
    }

    fn point() -> StatsPoint {
        StatsPoint {
            time_ms: 1_700_000_000_000,
            cpu_percent: 0.0,
            cpu_throttled_percent: None,
            cpu_limit_percent: None,
            memory_working_set_bytes: 0,
            memory_usage_bytes: 0,
            memory_cache_bytes: 0,
            memory_limit_bytes: None,
            swap_bytes: None,
            network_receive_bytes_per_s: None,
            network_transmit_bytes_per_s: None,
            block_read_bytes_per_s: 0.0,
            block_write_bytes_per_s: 0.0,
            pids: 1,
            pids_limit: None,
            oom_kills_total: None,
            pressure: None,
        }
    }

    #[test]
    fn shares_are_of_the_limit_and_old_figures_tell_nothing() {
        let mut cpu = Story::of(rule(AlertCondition::CpuAbove { percent: 80.0 }, 0));
        let busy = StatsPoint {
            cpu_percent: 45.0,
            cpu_limit_percent: Some(50.0),
            ..point()
        };
        assert_eq!(cpu.at(100, Some(web()), Some(busy.clone())), "", "old");
        assert_eq!(cpu.at(1, Some(web()), Some(busy.clone())), "+");
        let mut whole = Story::of(rule(AlertCondition::CpuAbove { percent: 80.0 }, 0));
        let free = StatsPoint {
            cpu_limit_percent: None,
            ..busy
        };
        assert_eq!(
            whole.at(0, Some(web()), Some(free)),
            "",
            "no limit and no machine"
        );
        let mut memory = Story::of(rule(AlertCondition::MemoryAbove { percent: 90.0 }, 0));
        let full = StatsPoint {
            memory_working_set_bytes: 95,
            memory_limit_bytes: Some(100),
            ..point()
        };
        assert_eq!(memory.at(0, Some(web()), Some(full)), "+");
    }

    #[test]
    fn a_disk_is_as_full_as_df_says() {
        let mut story = Story::of(rule(AlertCondition::DiskAbove { percent: 90.0 }, 0));
        let host = |used_bytes| HostFigures {
            time_ms: 0,
            cpu_percent: 0.0,
            cpu_per_core_percent: vec![0.0; 2],
            load_1m: 0.0,
            load_5m: 0.0,
            load_15m: 0.0,
            memory_total_bytes: 100,
            memory_used_bytes: 50,
            memory_available_bytes: 50,
            memory_cache_bytes: 0,
            swap_total_bytes: 0,
            swap_used_bytes: 0,
            disks: vec![DiskFigures {
                mount_point: "/".into(),
                device: "/dev/x".into(),
                file_system: "ext4".into(),
                total_bytes: 100,
                used_bytes,
                available_bytes: 95 - used_bytes,
                read_bytes_per_s: 0.0,
                write_bytes_per_s: 0.0,
            }],
            networks: Vec::new(),
            pressure: None,
            uptime_s: 1,
            server_memory_bytes: 1,
        };
        story.host = Some(host(85));
        assert_eq!(story.at(0, None, None), "");
        story.host = Some(host(87));
        assert_eq!(story.at(5, None, None), "+");
    }

    #[test]
    fn a_rule_that_is_gone_or_off_is_over_at_once_and_a_restart_goes_on() {
        let mut story = Story::of(rule(
            AlertCondition::ContainerDown {
                also_when_stopped: false,
            },
            0,
        ));
        assert_eq!(story.at(0, ended(1), None), "+");
        let key = story.judge.seen.keys().next().unwrap().clone();
        story.rules[0].rule.enabled = false;
        assert_eq!(story.at(1, ended(1), None), "-");
        story.rules[0].rule.enabled = true;
        let start = Timestamp::from_second(1_700_000_000).unwrap();
        story.judge = Judge::resume([(key, start)], start);
        assert_eq!(story.at(5, ended(1), None), "", "it rang already");
        assert_eq!(story.at(30, Some(web()), None), "-");
    }

    #[test]
    fn names_are_compared_with_patterns() {
        for (pattern, name, is) in [
            ("web", "web", true),
            ("web", "web2", false),
            ("web*", "web2", true),
            ("*", "", true),
            ("*-db-*", "shop-db-1", true),
            ("*-db-*", "shop-db", false),
            ("a*a", "a", false),
            ("a*b*c", "abbc", true),
        ] {
            assert_eq!(fits(pattern, name), is, "{pattern} {name}");
        }
    }
}
