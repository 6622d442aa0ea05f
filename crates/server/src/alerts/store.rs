//! Rules, channels, alerts and the box of messages that wait, on the disk.

use std::time::Duration;

use api::{
    alert::{Alert, AlertRule, AlertRuleRequest},
    id::{AlertChannelId, AlertRuleId},
};
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};
use serde::{Serialize, de::DeserializeOwned};

use super::channel::Settings;

/// Alerts that are over are kept for so long, and at most so many.
const KEPT: Duration = Duration::from_hours(24 * 90);
const KEPT_ROWS: i64 = 10_000;

/// A channel as it is kept.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub(super) id: AlertChannelId,
    pub(super) settings: Settings,
    pub(super) sealed: Vec<u8>,
    pub(super) last_sent_ms: Option<i64>,
    pub(super) last_error: Option<String>,
}

/// A message that waits to be sent.
#[derive(Debug, Clone)]
pub(super) struct Notice {
    pub(super) channel: AlertChannelId,
    /// That it is over; else that it fires.
    pub(super) over: bool,
    pub(super) tries: u32,
    pub(super) alert: Alert,
}

fn to_json<T: Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))
}

/// A row that cannot be read is left out, and said.
fn from_json<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_str(text)
        .inspect_err(|error| tracing::warn!(%error, "read a row of alerts"))
        .ok()
}

pub(super) fn rules(c: &Connection) -> rusqlite::Result<Vec<AlertRule>> {
    let mut statement = c.prepare("SELECT id, body FROM alert_rules ORDER BY created_at_ms, id")?;
    let rows = statement.query_map([], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
    })?;
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    Ok(rows
        .into_iter()
        .filter_map(|(id, body)| {
            Some(AlertRule {
                id: AlertRuleId::parse(&id).ok()?,
                rule: from_json(&body)?,
            })
        })
        .collect())
}

/// Puts a rule; returns whether there was one of this id when it had to be.
pub(super) fn put_rule(
    c: &Connection,
    id: &AlertRuleId,
    rule: &AlertRuleRequest,
    is_new: bool,
) -> rusqlite::Result<bool> {
    let body = to_json(rule)?;
    let changed = if is_new {
        c.execute(
            "INSERT INTO alert_rules (id, created_at_ms, body) VALUES (?1, ?2, ?3)",
            (id.as_str(), Timestamp::now().as_millisecond(), body),
        )?
    } else {
        c.execute(
            "UPDATE alert_rules SET body = ?2 WHERE id = ?1",
            (id.as_str(), body),
        )?
    };
    Ok(changed == 1)
}

pub(super) fn remove_rule(c: &Connection, id: &AlertRuleId) -> rusqlite::Result<bool> {
    c.execute("DELETE FROM alert_rules WHERE id = ?1", [id.as_str()])
        .map(|gone| gone == 1)
}

const CHANNEL: &str = "SELECT id, body, sealed, last_sent_at_ms, last_error FROM alert_channels";

fn channel(row: &Row<'_>) -> rusqlite::Result<Option<Channel>> {
    let (id, body): (String, String) = (row.get(0)?, row.get(1)?);
    let (Ok(id), Some(settings)) = (AlertChannelId::parse(&id), from_json(&body)) else {
        return Ok(None);
    };
    Ok(Some(Channel {
        id,
        settings,
        sealed: row.get(2)?,
        last_sent_ms: row.get(3)?,
        last_error: row.get(4)?,
    }))
}

pub(super) fn channels(c: &Connection) -> rusqlite::Result<Vec<Channel>> {
    let mut statement = c.prepare(&format!("{CHANNEL} ORDER BY created_at_ms, id"))?;
    let rows: Vec<_> = statement
        .query_map([], channel)?
        .collect::<Result<_, _>>()?;
    Ok(rows.into_iter().flatten().collect())
}

pub(super) fn find_channel(
    c: &Connection,
    id: &AlertChannelId,
) -> rusqlite::Result<Option<Channel>> {
    c.query_row(&format!("{CHANNEL} WHERE id = ?1"), [id.as_str()], channel)
        .optional()
        .map(Option::flatten)
}

pub(super) fn put_channel(c: &Connection, channel: &Channel) -> rusqlite::Result<()> {
    c.execute(
        "INSERT INTO alert_channels (id, created_at_ms, body, sealed) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (id) DO UPDATE SET body = ?3, sealed = ?4",
        (
            channel.id.as_str(),
            Timestamp::now().as_millisecond(),
            to_json(&channel.settings)?,
            &channel.sealed,
        ),
    )
    .map(drop)
}

pub(super) fn remove_channel(c: &Connection, id: &AlertChannelId) -> rusqlite::Result<bool> {
    c.execute("DELETE FROM alert_channels WHERE id = ?1", [id.as_str()])
        .map(|gone| gone == 1)
}

pub(super) fn alerts(
    c: &Connection,
    only_firing: bool,
    limit: u32,
) -> rusqlite::Result<Vec<Alert>> {
    let mut statement = c.prepare(
        "SELECT body FROM alerts WHERE NOT ?1 OR resolved_at_ms IS NULL
         ORDER BY resolved_at_ms IS NOT NULL, started_at_ms DESC, id LIMIT ?2",
    )?;
    let rows: Vec<String> = statement
        .query_map((only_firing, limit), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    Ok(rows.iter().filter_map(|body| from_json(body)).collect())
}

/// Writes what began and what is over, with a message for each channel that is to hear of it, in one transaction.
pub(super) fn record(
    c: &mut Connection,
    began: &[(Alert, Vec<AlertChannelId>)],
    over: &[(Alert, Vec<AlertChannelId>)],
    now: Timestamp,
) -> rusqlite::Result<()> {
    let now_ms = now.as_millisecond();
    let step = c.transaction()?;
    for (alert, channels) in began {
        step.execute(
            "INSERT INTO alerts (id, started_at_ms, body) VALUES (?1, ?2, ?3)",
            (
                &alert.id,
                alert.started_at.as_millisecond(),
                to_json(alert)?,
            ),
        )?;
        for channel in channels {
            put_notice(&step, &alert.id, channel, false, now_ms)?;
        }
    }
    for (alert, channels) in over {
        let ended = alert.resolved_at.unwrap_or(now).as_millisecond();
        step.execute(
            "UPDATE alerts SET resolved_at_ms = ?2, body = ?3 WHERE id = ?1",
            (&alert.id, ended, to_json(alert)?),
        )?;
        for channel in channels {
            // Who was not told that it began need not hear that it is over.
            let untold = step.execute(
                "DELETE FROM alert_notices WHERE alert = ?1 AND channel = ?2 AND NOT over",
                (&alert.id, channel.as_str()),
            )?;
            if untold == 0 {
                put_notice(&step, &alert.id, channel, true, now_ms)?;
            }
        }
    }
    let oldest = (now - KEPT).as_millisecond();
    step.execute(
        "DELETE FROM alerts WHERE resolved_at_ms IS NOT NULL AND (resolved_at_ms < ?1 OR id NOT IN
         (SELECT id FROM alerts ORDER BY resolved_at_ms IS NOT NULL, started_at_ms DESC LIMIT ?2))",
        (oldest, KEPT_ROWS),
    )?;
    step.commit()
}

fn put_notice(
    c: &Connection,
    alert: &str,
    channel: &AlertChannelId,
    over: bool,
    due_ms: i64,
) -> rusqlite::Result<()> {
    // A channel that was removed meanwhile hears nothing.
    c.execute(
        "INSERT INTO alert_notices (alert, channel, over, due_at_ms)
         SELECT ?1, ?2, ?3, ?4 WHERE EXISTS (SELECT 1 FROM alert_channels WHERE id = ?2) ON CONFLICT DO NOTHING",
        (alert, channel.as_str(), over, due_ms),
    )
    .map(drop)
}

/// Messages whose time has come, oldest first.
pub(super) fn due(c: &Connection, now: Timestamp) -> rusqlite::Result<Vec<Notice>> {
    let mut statement = c.prepare(
        "SELECT channel, over, tries, body FROM alert_notices JOIN alerts ON alerts.id = alert
         WHERE due_at_ms <= ?1 ORDER BY due_at_ms LIMIT 1000",
    )?;
    let rows: Vec<(String, bool, u32, String)> = statement
        .query_map([now.as_millisecond()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })?
        .collect::<Result<_, _>>()?;
    Ok(rows
        .into_iter()
        .filter_map(|(channel, over, tries, body)| {
            Some(Notice {
                channel: AlertChannelId::parse(&channel).ok()?,
                over,
                tries,
                alert: from_json(&body)?,
            })
        })
        .collect())
}

/// Notes how messages of one channel were taken: gone when they were, or when it was tried often enough.
pub(super) fn settle(
    c: &mut Connection,
    notices: &[Notice],
    outcome: &Result<(), String>,
    now: Timestamp,
    again: impl Fn(u32) -> Option<Duration>,
) -> rusqlite::Result<()> {
    let step = c.transaction()?;
    for notice in notices {
        let row = (
            notice.alert.id.as_str(),
            notice.channel.as_str(),
            notice.over,
        );
        let next = outcome.as_ref().err().and_then(|_| again(notice.tries + 1));
        match next {
            Some(wait) => step.execute(
                "UPDATE alert_notices SET tries = tries + 1, due_at_ms = ?4 WHERE alert = ?1 AND channel = ?2 AND over = ?3",
                (row.0, row.1, row.2, (now + wait).as_millisecond()),
            )?,
            None => step.execute(
                "DELETE FROM alert_notices WHERE alert = ?1 AND channel = ?2 AND over = ?3",
                row,
            )?,
        };
    }
    if let Some(notice) = notices.first() {
        note(&step, &notice.channel, outcome, now)?;
    }
    step.commit()
}

/// Notes on a channel how its last message was taken.
pub(super) fn note(
    c: &Connection,
    channel: &AlertChannelId,
    outcome: &Result<(), String>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    match outcome {
        Ok(()) => c.execute(
            "UPDATE alert_channels SET last_sent_at_ms = ?2, last_error = NULL WHERE id = ?1",
            (channel.as_str(), now.as_millisecond()),
        ),
        Err(error) => c.execute(
            "UPDATE alert_channels SET last_error = ?2 WHERE id = ?1",
            (channel.as_str(), error),
        ),
    }
    .map(drop)
}
