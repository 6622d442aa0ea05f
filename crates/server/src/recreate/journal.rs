//! How far each recreation is, on disk before the act: a killed server finds out what it was about.

use rusqlite::{Connection, OptionalExtension as _};

use super::spec::Spec;

/// The tables, made if they are not there.
pub(super) const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS recreation (
    id TEXT PRIMARY KEY,
    engine TEXT NOT NULL,
    old_id TEXT NOT NULL,
    phase TEXT NOT NULL,
    new_id TEXT,
    body TEXT NOT NULL,
    UNIQUE (engine, old_id)
) STRICT;
CREATE TABLE IF NOT EXISTS revision (
    id TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    engine TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS revision_at ON revision (engine, at_ms);
";

/// What is being done; each stands in the journal before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// The new container is made, under another name.
    Create,
    /// The old one is stopped.
    Stop,
    /// The old one steps aside and the new one takes its name.
    Swap,
    /// The new one is started and watched.
    Start,
    /// The new one works: the old one is removed.
    Commit,
}

impl Phase {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Stop => "stop",
            Self::Swap => "swap",
            Self::Start => "start",
            Self::Commit => "commit",
        }
    }

    fn read(word: &str) -> Option<Self> {
        [
            Self::Create,
            Self::Stop,
            Self::Swap,
            Self::Start,
            Self::Commit,
        ]
        .into_iter()
        .find(|phase| phase.word() == word)
    }
}

/// One recreation.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) engine: String,
    pub(crate) old_id: String,
    pub(crate) phase: Phase,
    pub(crate) new_id: Option<String>,
    pub(crate) plan: Planned,
}

/// What does not change while it goes on.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Planned {
    /// The name before, and of the container that must exist if it does not work.
    pub(crate) name: String,
    /// The name after.
    pub(crate) new_name: String,
    pub(crate) was_running: bool,
    /// It removes itself when it stops, so that putting it back means to make it.
    pub(crate) removes_itself: bool,
    /// How long it has to stop, in seconds.
    pub(crate) stop_s: u32,
    pub(crate) old: Spec,
    pub(crate) new: Spec,
    pub(crate) by: String,
    /// Pulled first.
    pub(crate) pull: Option<String>,
}

impl Row {
    /// What the new one is called until it takes its name.
    pub(super) fn waiting_name(&self) -> String {
        format!("containeros-new-{}", self.id)
    }

    /// What the old one is called once it has stepped aside.
    pub(super) fn aside_name(&self) -> String {
        format!("containeros-old-{}", self.id)
    }
}

/// Begins one; `false` when one of this container goes on already.
pub(super) fn begin(connection: &Connection, row: &Row) -> rusqlite::Result<bool> {
    let body = serde_json::to_string(&row.plan)
        .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
    let made = connection.execute(
        "INSERT OR IGNORE INTO recreation (id, engine, old_id, phase, new_id, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (&row.id, &row.engine, &row.old_id, row.phase.word(), &row.new_id, body),
    )?;
    Ok(made == 1)
}

/// Writes how far it is.
pub(super) fn put(connection: &Connection, row: &Row) -> rusqlite::Result<()> {
    connection
        .execute(
            "UPDATE recreation SET phase = ?2, new_id = ?3 WHERE id = ?1",
            (&row.id, row.phase.word(), &row.new_id),
        )
        .map(drop)
}

/// It is over.
pub(super) fn end(connection: &Connection, id: &str) -> rusqlite::Result<()> {
    connection
        .execute("DELETE FROM recreation WHERE id = ?1", [id])
        .map(drop)
}

/// Those of an engine that are not over.
pub(super) fn open_ones(connection: &Connection, engine: &str) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare(
        "SELECT id, engine, old_id, phase, new_id, body FROM recreation WHERE engine = ?1",
    )?;
    let rows = statement.query_map([engine], |row| {
        let (phase, body): (String, String) = (row.get(3)?, row.get(5)?);
        let plan = serde_json::from_str(&body).map_err(|e| {
            rusqlite::Error::FromSqlConversionFailure(5, rusqlite::types::Type::Text, Box::new(e))
        })?;
        Ok(Row {
            id: row.get(0)?,
            engine: row.get(1)?,
            old_id: row.get(2)?,
            phase: Phase::read(&phase).unwrap_or(Phase::Create),
            new_id: row.get(4)?,
            plan,
        })
    })?;
    rows.collect()
}

/// Tells whether a container is in the middle of one.
pub(super) fn is_open(
    connection: &Connection,
    engine: &str,
    container: &str,
) -> rusqlite::Result<bool> {
    let found: Option<i64> = connection
        .query_row(
            "SELECT 1 FROM recreation WHERE engine = ?1 AND (old_id = ?2 OR new_id = ?2)",
            (engine, container),
            |row| row.get(0),
        )
        .optional()?;
    Ok(found.is_some())
}
