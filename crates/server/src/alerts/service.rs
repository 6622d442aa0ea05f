//! The alerts of the running server: judging, keeping, sending.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use api::{
    alert::{
        Alert, AlertChannel, AlertChannelRequest, AlertChannelUpdate, AlertCondition, AlertRule,
        AlertRuleRequest, AlertTestResult,
    },
    id::{AlertChannelId, AlertRuleId},
    problem::FieldError,
};
use jiff::Timestamp;
use tokio::{sync::Notify, task::JoinSet};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    channel::{self, Secret, check_name},
    judge::{Change, Judge, Key, Moment, Subject},
    message::{Message, Occasion},
    quiet,
    send::Sender,
    store::{self, Channel, Notice},
};
use crate::{
    db::{Db, DbError},
    engines::Engines,
    live::Hub,
    sealed::{SealError, Sealer},
};

/// Time between two looks.
const TICK: Duration = Duration::from_secs(2);
/// Alerts that the live topic shows.
const SHOWN: u32 = 200;
/// A message is tried so often: over about a day.
const TRIES: u32 = 30;
/// Rules and channels that there may be.
const MOST_RULES: usize = 200;
const MOST_CHANNELS: usize = 50;

/// Why rules or channels are not changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AlertError {
    /// There is none of this id.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// Fields are not valid.
    #[error("fields are not valid")]
    Invalid(Vec<FieldError>),
    /// There are too many.
    #[error("there are at most {0} of them: remove some first")]
    TooMany(usize),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The secrets.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// No random numbers.
    #[error("make an id: {0}")]
    Random(#[from] getrandom::Error),
}

/// Alerts; cheap to clone.
#[derive(Debug, Clone)]
pub struct Alerts(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: Db,
    sealer: Arc<Sealer>,
    hub: Arc<Hub>,
    engines: Arc<Engines>,
    sender: Result<Sender, String>,
    host: String,
    /// Something waits to be sent.
    box_changed: Notify,
}

impl Alerts {
    /// Reads what fired before and starts to judge and to send.
    ///
    /// # Errors
    /// [`DbError`]
    pub async fn start(
        db: &Db,
        sealer: &Arc<Sealer>,
        hub: &Arc<Hub>,
        engines: &Arc<Engines>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<Self, DbError> {
        let sender =
            Sender::new().inspect_err(|error| tracing::warn!(error, "alerts are not sent"));
        let alerts = Self(Arc::new(Inner {
            db: db.clone(),
            sealer: Arc::clone(sealer),
            hub: Arc::clone(hub),
            engines: Arc::clone(engines),
            sender,
            host: crate::capabilities::host().hostname,
            box_changed: Notify::new(),
        }));
        let firing = alerts.list(true, u32::MAX).await?;
        alerts.show().await?;
        let (judging, over) = (alerts.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = judging.judge(firing) => {}
            }
        });
        let (sending, over) = (alerts.clone(), stop.clone());
        tasks.spawn(async move {
            tokio::select! {
                () = over.cancelled() => {}
                () = sending.send_all() => {}
            }
        });
        Ok(alerts)
    }

    async fn judge(&self, firing: Vec<Alert>) {
        let mut firing: HashMap<Key, Alert> = firing
            .into_iter()
            .map(|alert| {
                let subject = Subject {
                    engine: alert.engine.clone(),
                    id: alert.subject.clone(),
                };
                ((alert.rule.clone(), subject), alert)
            })
            .collect();
        let began = firing
            .iter()
            .map(|(key, alert)| (key.clone(), alert.started_at));
        let mut judge = Judge::resume(began, Timestamp::now());
        loop {
            tokio::time::sleep(TICK).await;
            if let Err(error) = self.look(&mut judge, &mut firing).await {
                tracing::warn!(%error, "judge the rules of alerts");
            }
        }
    }

    async fn look(
        &self,
        judge: &mut Judge,
        firing: &mut HashMap<Key, Alert>,
    ) -> Result<(), AlertError> {
        let (rules, channels) = self
            .0
            .db
            .run("read the rules of alerts", |c| {
                Ok((store::rules(c)?, store::channels(c)?))
            })
            .await?;
        let moment = self.moment();
        let changes = judge.look(&rules, &moment);
        if changes.is_empty() {
            return Ok(());
        }
        let (mut began, mut over) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                Change::Fires {
                    key,
                    subject_name,
                    text,
                } => {
                    let Some(rule) = rules.iter().find(|rule| rule.id == key.0) else {
                        continue;
                    };
                    let alert = Alert {
                        id: new_id()?,
                        rule: rule.id.clone(),
                        rule_name: rule.rule.name.clone(),
                        severity: rule.rule.severity,
                        engine: key.1.engine.clone(),
                        subject: key.1.id.clone(),
                        subject_name,
                        text,
                        started_at: moment.now,
                        resolved_at: None,
                    };
                    began.push((alert.clone(), heard_by(rule, &channels, false)));
                    firing.insert(key, alert);
                }
                Change::Over { key } => {
                    let Some(mut alert) = firing.remove(&key) else {
                        continue;
                    };
                    alert.resolved_at = Some(moment.now);
                    let rule = rules.iter().find(|rule| rule.id == key.0);
                    let hear = rule.map_or_else(Vec::new, |rule| heard_by(rule, &channels, true));
                    over.push((alert, hear));
                }
            }
        }
        let now = moment.now;
        self.0
            .db
            .run("keep alerts", move |c| store::record(c, &began, &over, now))
            .await?;
        self.show().await?;
        self.0.box_changed.notify_one();
        Ok(())
    }

    fn moment(&self) -> Moment {
        let figures = &self.0.hub.figures;
        let engines = self.0.engines.iter();
        let containers = self.0.engines.iter().flat_map(|engine| {
            engine.mirror.containers().into_iter().map(|container| {
                let latest = figures.latest(&container.engine, &container.id);
                let point = latest.map(|latest| latest.point);
                (container, point)
            })
        });
        Moment {
            now: Timestamp::now(),
            engines: engines
                .map(|engine| (engine.name.clone(), engine.state()))
                .collect(),
            containers: containers.collect(),
            host: figures.host(),
        }
    }

    /// Makes the live topic show what the disk has.
    async fn show(&self) -> Result<(), DbError> {
        let shown = self.list(false, SHOWN).await?;
        let rows = shown.iter().map(|alert| (alert.id.as_str(), alert));
        self.0.hub.alerts.replace(rows);
        Ok(())
    }

    async fn send_all(&self) {
        loop {
            if let Err(error) = self.send_due().await {
                tracing::warn!(%error, "send alerts");
            }
            // Also when nothing changed: quiet hours end, and what was not taken is tried again.
            drop(tokio::time::timeout(TICK, self.0.box_changed.notified()).await);
        }
    }

    /// Sends what is due: one message for each channel and occasion, all channels at once.
    async fn send_due(&self) -> Result<(), AlertError> {
        let now = Timestamp::now();
        let (due, channels) = self
            .0
            .db
            .run("look for messages", move |c| {
                Ok((store::due(c, now)?, store::channels(c)?))
            })
            .await?;
        let mut groups: BTreeMap<(AlertChannelId, bool), Vec<Notice>> = BTreeMap::new();
        for notice in due {
            let Some(channel) = channels.iter().find(|c| c.id == notice.channel) else {
                continue;
            };
            let hours = channel.settings.quiet_hours.as_ref();
            if !channel.settings.enabled || quiet::waits(hours, notice.alert.severity, now) {
                continue;
            }
            let group = (notice.channel.clone(), notice.over);
            groups.entry(group).or_default().push(notice);
        }
        let mut sending = JoinSet::new();
        for ((id, over), notices) in groups {
            let Some(channel) = channels.iter().find(|c| c.id == id).cloned() else {
                continue;
            };
            let alerts = self.clone();
            sending.spawn(async move {
                let occasion = if over {
                    Occasion::Over
                } else {
                    Occasion::Fires
                };
                let about = notices.iter().map(|notice| notice.alert.clone()).collect();
                let message = Message::new(occasion, &alerts.0.host, about);
                let outcome = alerts.send(&channel, &message).await;
                if let Err(error) = &outcome {
                    tracing::warn!(channel = channel.settings.name, error, "send an alert");
                }
                let settled = alerts
                    .0
                    .db
                    .run("note messages", move |c| {
                        store::settle(c, &notices, &outcome, Timestamp::now(), again)
                    })
                    .await;
                if let Err(error) = settled {
                    tracing::warn!(%error, "note messages");
                }
            });
        }
        sending.join_all().await;
        Ok(())
    }

    async fn send(&self, channel: &Channel, message: &Message) -> Result<(), String> {
        let secret = self.open(channel).map_err(|error| error.to_string())?;
        let sender = self.0.sender.as_ref().map_err(Clone::clone)?;
        sender
            .send(&secret, channel.settings.allow_private, message)
            .await
    }

    fn open(&self, channel: &Channel) -> Result<Secret, SealError> {
        let plain = self
            .0
            .sealer
            .open_sealed(&purpose(&channel.id), &channel.sealed)?;
        serde_json::from_slice(&plain).map_err(|_other_form| SealError::NotOurs)
    }

    fn seal(&self, id: &AlertChannelId, secret: &Secret) -> Result<Vec<u8>, SealError> {
        let plain = serde_json::to_vec(secret).unwrap_or_default();
        self.0.sealer.seal(&purpose(id), &plain)
    }

    /// Lists alerts: those that fire first, then the newest.
    pub(crate) async fn list(&self, firing: bool, limit: u32) -> Result<Vec<Alert>, DbError> {
        self.0
            .db
            .run("list alerts", move |c| store::alerts(c, firing, limit))
            .await
    }

    /// Lists rules, oldest first.
    pub(crate) async fn rules(&self) -> Result<Vec<AlertRule>, DbError> {
        self.0.db.run("list rules", |c| store::rules(c)).await
    }

    /// Makes a rule, or with an id changes one whole.
    pub(crate) async fn put_rule(
        &self,
        id: Option<AlertRuleId>,
        rule: AlertRuleRequest,
    ) -> Result<AlertRule, AlertError> {
        let errors = check_rule(&rule);
        if !errors.is_empty() {
            return Err(AlertError::Invalid(errors));
        }
        let is_new = id.is_none();
        if is_new && self.rules().await?.len() >= MOST_RULES {
            return Err(AlertError::TooMany(MOST_RULES));
        }
        let id = match id {
            Some(id) => id,
            None => AlertRuleId::parse(&new_id()?).map_err(|_| AlertError::NotFound("rule"))?,
        };
        let (key, body) = (id.clone(), rule.clone());
        let put = self
            .0
            .db
            .run("keep a rule", move |c| {
                store::put_rule(c, &key, &body, is_new)
            })
            .await?;
        if put {
            Ok(AlertRule { id, rule })
        } else {
            Err(AlertError::NotFound("rule"))
        }
    }

    /// Removes a rule; what it found is over at the next look.
    pub(crate) async fn remove_rule(&self, id: AlertRuleId) -> Result<(), AlertError> {
        let gone = self
            .0
            .db
            .run("remove a rule", move |c| store::remove_rule(c, &id))
            .await?;
        gone.then_some(()).ok_or(AlertError::NotFound("rule"))
    }

    /// Lists channels, oldest first.
    pub(crate) async fn channels(&self) -> Result<Vec<AlertChannel>, DbError> {
        let channels = self
            .0
            .db
            .run("list channels", |c| store::channels(c))
            .await?;
        Ok(channels.into_iter().map(shown).collect())
    }

    /// Makes a channel.
    pub(crate) async fn add_channel(
        &self,
        request: AlertChannelRequest,
    ) -> Result<AlertChannel, AlertError> {
        let (settings, secret) = channel::split(&request).map_err(AlertError::Invalid)?;
        if self.channels().await?.len() >= MOST_CHANNELS {
            return Err(AlertError::TooMany(MOST_CHANNELS));
        }
        let id = AlertChannelId::parse(&new_id()?).map_err(|_| AlertError::NotFound("channel"))?;
        let channel = Channel {
            sealed: self.seal(&id, &secret)?,
            id,
            settings,
            last_sent_ms: None,
            last_error: None,
        };
        self.keep(channel).await
    }

    /// Changes a channel; what is absent stays.
    pub(crate) async fn update_channel(
        &self,
        id: AlertChannelId,
        change: AlertChannelUpdate,
    ) -> Result<AlertChannel, AlertError> {
        let mut channel = self.channel(id).await?;
        let settings = &mut channel.settings;
        let mut errors = Vec::new();
        let mut refuse = |field: &str, message: &str| {
            errors.push(FieldError {
                field: field.to_owned(),
                message: message.to_owned(),
            });
        };
        if let Some(name) = change.name {
            if let Err(message) = check_name(&name) {
                refuse("name", message);
            }
            settings.name = name;
        }
        if let Some(hours) = change.quiet_hours {
            if let Err((field, message)) = quiet::check(&hours) {
                refuse(field, message);
            }
            settings.quiet_hours = Some(hours);
        }
        if change.no_quiet_hours {
            settings.quiet_hours = None;
        }
        settings.enabled = change.enabled.unwrap_or(settings.enabled);
        settings.allow_private = change.allow_private.unwrap_or(settings.allow_private);
        settings.send_resolved = change.send_resolved.unwrap_or(settings.send_resolved);
        if !errors.is_empty() {
            return Err(AlertError::Invalid(errors));
        }
        if let Some(target) = change.target {
            let whole = AlertChannelRequest {
                name: settings.name.clone(),
                enabled: settings.enabled,
                target,
                allow_private: settings.allow_private,
                quiet_hours: settings.quiet_hours.clone(),
                send_resolved: settings.send_resolved,
            };
            let (settings, secret) = channel::split(&whole).map_err(AlertError::Invalid)?;
            channel.settings = settings;
            channel.sealed = self.seal(&channel.id, &secret)?;
        }
        self.keep(channel).await
    }

    async fn channel(&self, id: AlertChannelId) -> Result<Channel, AlertError> {
        self.0
            .db
            .run("find a channel", move |c| store::find_channel(c, &id))
            .await?
            .ok_or(AlertError::NotFound("channel"))
    }

    async fn keep(&self, channel: Channel) -> Result<AlertChannel, AlertError> {
        let kept = channel.clone();
        self.0
            .db
            .run("keep a channel", move |c| store::put_channel(c, &channel))
            .await?;
        Ok(shown(kept))
    }

    /// Removes a channel with the messages that wait for it.
    pub(crate) async fn remove_channel(&self, id: AlertChannelId) -> Result<(), AlertError> {
        let gone = self
            .0
            .db
            .run("remove a channel", move |c| store::remove_channel(c, &id))
            .await?;
        gone.then_some(()).ok_or(AlertError::NotFound("channel"))
    }

    /// Sends a test message now, whatever the hour.
    pub(crate) async fn test_channel(
        &self,
        id: AlertChannelId,
    ) -> Result<AlertTestResult, AlertError> {
        let channel = self.channel(id.clone()).await?;
        let message = Message::new(Occasion::Test, &self.0.host, Vec::new());
        let outcome = self.send(&channel, &message).await;
        let error = outcome.clone().err();
        self.0
            .db
            .run("note a test", move |c| {
                store::note(c, &id, &outcome, Timestamp::now())
            })
            .await?;
        Ok(AlertTestResult {
            delivered: error.is_none(),
            error,
        })
    }
}

/// Who hears of a rule's findings.
fn heard_by(rule: &AlertRule, channels: &[Channel], over: bool) -> Vec<AlertChannelId> {
    channels
        .iter()
        .filter(|channel| channel.settings.enabled)
        .filter(|channel| !over || channel.settings.send_resolved)
        .filter(|channel| {
            rule.rule
                .channels
                .as_ref()
                .is_none_or(|only| only.contains(&channel.id))
        })
        .map(|channel| channel.id.clone())
        .collect()
}

fn shown(channel: Channel) -> AlertChannel {
    let settings = channel.settings;
    AlertChannel {
        id: channel.id,
        name: settings.name,
        enabled: settings.enabled,
        kind: settings.kind,
        target: settings.target,
        allow_private: settings.allow_private,
        quiet_hours: settings.quiet_hours,
        send_resolved: settings.send_resolved,
        last_sent_at: channel
            .last_sent_ms
            .and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        last_error: channel.last_error,
    }
}

fn purpose(id: &AlertChannelId) -> String {
    format!("alert channel {id}")
}

fn new_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// When a message that was not taken is tried again, after so many tries; half a minute at first, an hour at most.
fn again(tries: u32) -> Option<Duration> {
    (tries < TRIES).then(|| {
        let seconds = 30_u64 << tries.saturating_sub(1).min(7);
        Duration::from_secs(seconds.min(3600))
    })
}

fn check_rule(rule: &AlertRuleRequest) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut refuse = |field: &str, message: &str| {
        errors.push(FieldError {
            field: field.to_owned(),
            message: message.to_owned(),
        });
    };
    if let Err(message) = check_name(&rule.name) {
        refuse("name", message);
    }
    if rule.for_s > 86_400 {
        refuse("for_s", "must be at most 86400");
    }
    if rule
        .container
        .as_ref()
        .is_some_and(|pattern| pattern.is_empty() || pattern.len() > 255)
    {
        refuse(
            "container",
            "must be 1 to 255 characters, or absent for all",
        );
    }
    match rule.condition {
        AlertCondition::CpuAbove { percent }
        | AlertCondition::MemoryAbove { percent }
        | AlertCondition::DiskAbove { percent }
        | AlertCondition::HostCpuAbove { percent }
        | AlertCondition::HostMemoryAbove { percent } => {
            if !(1.0..=100.0).contains(&percent) {
                refuse("condition.percent", "must be 1 to 100");
            }
        }
        AlertCondition::RestartLoop { restarts, within_s } => {
            if !(2..=100).contains(&restarts) {
                refuse("condition.restarts", "must be 2 to 100");
            }
            if !(10..=86_400).contains(&within_s) {
                refuse("condition.within_s", "must be 10 to 86400");
            }
        }
        AlertCondition::ContainerDown { .. }
        | AlertCondition::Unhealthy
        | AlertCondition::OutOfMemory
        | AlertCondition::EngineDown => {}
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_tried_for_about_a_day() {
        assert_eq!(again(1), Some(Duration::from_secs(30)));
        assert_eq!(again(2), Some(Duration::from_mins(1)));
        assert_eq!(again(29), Some(Duration::from_hours(1)));
        assert_eq!(again(30), None);
        let whole: Duration = (1..30).filter_map(again).sum();
        assert!(whole > Duration::from_hours(20) && whole < Duration::from_hours(30));
    }
}
