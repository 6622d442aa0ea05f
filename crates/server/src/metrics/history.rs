//! The past of figures, in the database: a point a minute for a day, a point per 15 minutes for 30 days.

use std::{sync::Arc, time::Duration};

use api::{
    host::{HostFigures, HostHistory},
    id::EngineName,
    stats::{FigureSource, StatsHistory, StatsPoint},
};
use jiff::Timestamp;
use rusqlite::Connection;
use serde::{Serialize, de::DeserializeOwned};
use tokio_util::sync::CancellationToken;

use super::{
    Figures,
    series::{Fold, downsample},
};
use crate::db::{Db, DbError};

/// The table, made if it is not there.
pub(crate) const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS figures (
    object TEXT NOT NULL,
    step_s INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (object, step_s, time_ms)
) STRICT, WITHOUT ROWID;";

/// Most points of an answer.
const MAX_POINTS: u32 = 600;
/// Range of an answer unless asked otherwise, in seconds.
const RANGE_S: u64 = 300;
/// Points of an answer unless asked otherwise.
const POINTS: u32 = 300;
/// Range that memory holds, in milliseconds.
const RING_MS: i64 = 600_000;
const MINUTE_S: i64 = 60;
const QUARTER_S: i64 = 900;
const DAY_MS: i64 = 86_400_000;
/// The host's name among objects; no engine has an empty name.
const HOST: &str = "/";

/// The past of figures; cheap to clone.
#[derive(Clone, Debug)]
pub struct History {
    figures: Arc<Figures>,
    db: Db,
}

impl History {
    /// Opens the history.
    ///
    /// # Errors
    /// The database's.
    pub async fn open(figures: Arc<Figures>, db: Db) -> Result<Self, DbError> {
        db.run("make the table of figures", |c| c.execute_batch(SCHEMA))
            .await?;
        Ok(Self { figures, db })
    }

    /// Folds the rings into the database once a minute until `stop`; runs as one task of the server.
    pub async fn run(self, stop: CancellationToken) {
        loop {
            let now_s = Timestamp::now().as_second();
            let rest = MINUTE_S - now_s.rem_euclid(MINUTE_S);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(Duration::from_secs(u64::try_from(rest).unwrap_or(60))) => {}
            }
            let end_ms = Timestamp::now().as_second().div_euclid(MINUTE_S) * MINUTE_S * 1000;
            if let Err(error) = self.fold_minute(end_ms).await {
                // A full disk must not end the history for good: the next minute tries again.
                tracing::warn!(%error, "keep figures");
            }
        }
    }

    /// Writes the minute that ended at `end_ms`.
    async fn fold_minute(&self, end_ms: i64) -> Result<(), DbError> {
        let start_ms = end_ms - MINUTE_S * 1000;
        let mut rows = Vec::new();
        for (object, points) in self.figures.all_since(start_ms) {
            let points: Vec<StatsPoint> =
                points.into_iter().filter(|p| p.time_ms < end_ms).collect();
            if !points.is_empty() {
                rows.push((object, to_json(&at(StatsPoint::fold(&points), end_ms))));
            }
        }
        let host: Vec<HostFigures> = self
            .figures
            .host_since(start_ms)
            .into_iter()
            .filter(|p| p.time_ms < end_ms)
            .collect();
        if !host.is_empty() {
            rows.push((
                HOST.to_owned(),
                to_json(&HostFigures {
                    time_ms: end_ms,
                    ..HostFigures::fold(&host)
                }),
            ));
        }
        self.db
            .run("keep figures", move |connection| {
                let step = connection.transaction()?;
                for (object, body) in &rows {
                    put(&step, object, MINUTE_S, end_ms, body)?;
                }
                if end_ms.rem_euclid(QUARTER_S * 1000) == 0 {
                    fold_quarter(&step, end_ms)?;
                    forget(&step, end_ms)?;
                }
                step.commit()
            })
            .await
    }

    /// A container's past.
    ///
    /// # Errors
    /// The database's.
    pub async fn container(
        &self,
        engine: &EngineName,
        id: &str,
        range_s: Option<u64>,
        points: Option<u32>,
    ) -> Result<StatsHistory, DbError> {
        let since_ms = since(range_s);
        let (source, ring) = self
            .figures
            .since(engine, id, since_ms)
            .unwrap_or((FigureSource::Cgroup, Vec::new()));
        let (resolution_ms, points) = self
            .past(format!("{engine}/{id}"), since_ms, ring, points)
            .await?;
        Ok(StatsHistory {
            source,
            resolution_ms,
            points,
        })
    }

    /// The machine's past.
    ///
    /// # Errors
    /// The database's.
    pub async fn host(
        &self,
        range_s: Option<u64>,
        points: Option<u32>,
    ) -> Result<HostHistory, DbError> {
        let since_ms = since(range_s);
        let ring = self.figures.host_since(since_ms);
        let (resolution_ms, points) = self.past(HOST.to_owned(), since_ms, ring, points).await?;
        Ok(HostHistory {
            resolution_ms,
            points,
        })
    }

    async fn past<P>(
        &self,
        object: String,
        since_ms: i64,
        ring: Vec<P>,
        most: Option<u32>,
    ) -> Result<(u64, Vec<P>), DbError>
    where
        P: Fold + DeserializeOwned + Send + 'static,
    {
        let most = most.unwrap_or(POINTS).clamp(1, MAX_POINTS) as usize;
        let now_ms = Timestamp::now().as_millisecond();
        if since_ms >= now_ms - RING_MS {
            return Ok(downsample(ring, most));
        }
        // From the oldest on: quarters, minutes, seconds; each only up to where the finer ones begin.
        let ring_from = ring.first().map_or(now_ms, Fold::time_ms);
        let mut points: Vec<P> = self
            .db
            .run("read figures", move |connection| {
                let mut minutes: Vec<P> = read(connection, &object, MINUTE_S, since_ms, ring_from)?;
                let minutes_from = minutes.first().map_or(ring_from, Fold::time_ms);
                let mut points: Vec<P> =
                    read(connection, &object, QUARTER_S, since_ms, minutes_from)?;
                points.append(&mut minutes);
                Ok(points)
            })
            .await?;
        points.extend(ring);
        Ok(downsample_mixed(points, since_ms, now_ms, most))
    }
}

/// Points of different steps brought to one.
fn downsample_mixed<P: Fold>(
    points: Vec<P>,
    since_ms: i64,
    now_ms: i64,
    most: usize,
) -> (u64, Vec<P>) {
    let slice = ((now_ms - since_ms) / i64::try_from(most).unwrap_or(1)).max(MINUTE_S * 1000);
    let mut out: Vec<P> = Vec::new();
    let mut open: Vec<P> = Vec::new();
    for point in points {
        let joins = open
            .first()
            .is_none_or(|first| first.time_ms() / slice == point.time_ms() / slice);
        if !joins {
            out.push(P::fold(&open));
            open.clear();
        }
        open.push(point);
    }
    if !open.is_empty() {
        out.push(P::fold(&open));
    }
    // Slices lie on round times, so a range can touch one more than asked.
    let excess = out.len().saturating_sub(most);
    out.drain(..excess);
    (u64::try_from(slice).unwrap_or(60_000), out)
}

fn since(range_s: Option<u64>) -> i64 {
    let range = range_s.unwrap_or(RANGE_S).clamp(1, 30 * 86_400);
    Timestamp::now().as_millisecond() - i64::try_from(range).unwrap_or(i64::MAX / 2000) * 1000
}

fn at(point: StatsPoint, time_ms: i64) -> StatsPoint {
    StatsPoint { time_ms, ..point }
}

fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

fn put(
    connection: &Connection,
    object: &str,
    step_s: i64,
    time_ms: i64,
    body: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO figures (object, step_s, time_ms, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute((object, step_s, time_ms, body))?;
    Ok(())
}

fn read<P: DeserializeOwned>(
    connection: &Connection,
    object: &str,
    step_s: i64,
    from_ms: i64,
    to_ms: i64,
) -> rusqlite::Result<Vec<P>> {
    let mut statement = connection.prepare_cached(
        "SELECT body FROM figures WHERE object = ?1 AND step_s = ?2 AND time_ms > ?3 AND time_ms <= ?4 ORDER BY time_ms",
    )?;
    let rows = statement.query_map((object, step_s, from_ms, to_ms), |row| {
        row.get::<_, String>(0)
    })?;
    rows.filter_map(|row| match row {
        // A point written by another version is left out rather than the whole past.
        Ok(body) => serde_json::from_str(&body).ok().map(Ok),
        Err(error) => Some(Err(error)),
    })
    .collect()
}

/// Joins the minutes of the quarter of an hour that ended at `end_ms`.
fn fold_quarter(connection: &Connection, end_ms: i64) -> rusqlite::Result<()> {
    let start_ms = end_ms - QUARTER_S * 1000;
    let objects: Vec<String> = connection
        .prepare("SELECT DISTINCT object FROM figures WHERE step_s = ?1 AND time_ms > ?2 AND time_ms <= ?3")?
        .query_map((MINUTE_S, start_ms, end_ms), |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for object in objects {
        let body = if object == HOST {
            let points: Vec<HostFigures> = read(connection, &object, MINUTE_S, start_ms, end_ms)?;
            to_json(&HostFigures {
                time_ms: end_ms,
                ..HostFigures::fold(&points)
            })
        } else {
            let points: Vec<StatsPoint> = read(connection, &object, MINUTE_S, start_ms, end_ms)?;
            to_json(&at(StatsPoint::fold(&points), end_ms))
        };
        put(connection, &object, QUARTER_S, end_ms, &body)?;
    }
    Ok(())
}

fn forget(connection: &Connection, now_ms: i64) -> rusqlite::Result<()> {
    let old = "DELETE FROM figures WHERE step_s = ?1 AND time_ms < ?2";
    connection.execute(old, (MINUTE_S, now_ms - DAY_MS))?;
    connection.execute(old, (QUARTER_S, now_ms - 30 * DAY_MS))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Pulse;

    fn host(time_ms: i64, cpu_percent: f64) -> HostFigures {
        HostFigures {
            time_ms,
            cpu_percent,
            ..HostFigures::fold(&[])
        }
    }

    fn container(time_ms: i64, cpu_percent: f64) -> StatsPoint {
        StatsPoint {
            cpu_percent,
            ..at(StatsPoint::fold(&[]), time_ms)
        }
    }

    async fn history() -> (tempfile::TempDir, History) {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(&dir.path().join("server.db")).unwrap();
        let figures = Arc::new(Figures::new(Pulse::default()));
        (dir, History::open(figures, db).await.unwrap())
    }

    #[tokio::test]
    async fn a_minute_is_the_mean_of_its_seconds_and_a_quarter_of_its_minutes() {
        let (_dir, history) = history().await;
        let engine = EngineName::parse("mini").unwrap();
        let end_ms = Timestamp::now().as_second().div_euclid(QUARTER_S) * QUARTER_S * 1000;
        for minute in (0..15_i32).rev() {
            let minute_end = end_ms - i64::from(minute) * 60_000;
            for second in 1..=60 {
                let cpu = if second % 2 == 0 { 10.0 } else { 30.0 };
                let point = container(minute_end - second * 1000, cpu + f64::from(minute));
                history
                    .figures
                    .put(&engine, vec![("c".to_owned(), FigureSource::Cgroup, point)]);
                history
                    .figures
                    .put_host(host(minute_end - second * 1000, cpu));
            }
            history.fold_minute(minute_end).await.unwrap();
        }
        let (minutes, quarters): (Vec<StatsPoint>, Vec<StatsPoint>) = history
            .db
            .run("test", move |c| {
                Ok((
                    read(c, "mini/c", MINUTE_S, 0, i64::MAX)?,
                    read(c, "mini/c", QUARTER_S, 0, i64::MAX)?,
                ))
            })
            .await
            .unwrap();
        assert_eq!(minutes.len(), 15);
        assert!(
            (minutes[0].cpu_percent - 34.0).abs() < 1e-9,
            "{}",
            minutes[0].cpu_percent
        );
        assert_eq!(quarters.len(), 1);
        assert!((quarters[0].cpu_percent - 27.0).abs() < 1e-9);
        assert_eq!(quarters[0].time_ms, end_ms);
    }

    #[tokio::test]
    async fn a_long_range_joins_what_is_on_disk_and_in_memory() {
        let (_dir, history) = history().await;
        let now_ms = Timestamp::now().as_millisecond();
        let minute = now_ms / 60_000 * 60_000;
        let rows: Vec<(i64, i64)> = (1..48).map(|n| (QUARTER_S, minute - n * 900_000)).collect();
        let rows: Vec<(i64, i64)> = rows
            .into_iter()
            .chain((5..60).map(|n| (MINUTE_S, minute - n * 60_000)))
            .collect();
        history
            .db
            .run("test", move |c| {
                for (step, time_ms) in rows {
                    put(c, HOST, step, time_ms, &to_json(&host(time_ms, 50.0)))?;
                }
                Ok(())
            })
            .await
            .unwrap();
        for second in (0..120).rev() {
            history.figures.put_host(host(now_ms - second * 1000, 50.0));
        }
        let past = history.host(Some(12 * 3600), Some(100)).await.unwrap();
        assert!(
            past.points.len() <= 100 && past.points.len() > 40,
            "{}",
            past.points.len()
        );
        assert!(
            past.points
                .windows(2)
                .all(|pair| pair[0].time_ms < pair[1].time_ms)
        );
        assert!(
            past.points
                .iter()
                .all(|p| (p.cpu_percent - 50.0).abs() < 1e-9)
        );
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        let now = 40 * DAY_MS;
        for (step, time_ms) in [
            (MINUTE_S, now - DAY_MS - 1),
            (MINUTE_S, now - 1000),
            (QUARTER_S, now - 31 * DAY_MS),
            (QUARTER_S, now - DAY_MS * 2),
        ] {
            put(&connection, "x", step, time_ms, "{}").unwrap();
        }
        forget(&connection, now).unwrap();
        let left: i64 = connection
            .query_row("SELECT count(*) FROM figures", [], |row| row.get(0))
            .unwrap();
        assert_eq!(left, 2);
    }
}
