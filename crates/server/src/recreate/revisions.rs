//! What containers were made with before they were changed or removed.

use std::time::Duration;

use api::{
    container::{ContainerRevision, RevisionReason},
    id::{EngineName, RevisionId},
};
use jiff::Timestamp;
use rusqlite::OptionalExtension as _;
use serde::{Deserialize, Serialize};

use super::spec::Spec;
use crate::db::{Db, DbError};

/// Kept so long.
const KEPT_FOR: Duration = Duration::from_hours(30 * 24);
/// Of an engine at most.
const MOST: i64 = 500;

/// All of them, in the database; only its user may read it, for environments hold secrets.
#[derive(Clone, Debug)]
pub(crate) struct Revisions {
    db: Db,
}

/// What is to be kept.
#[derive(Clone, Debug)]
pub(crate) struct NewRevision {
    pub(crate) engine: EngineName,
    pub(crate) container: String,
    pub(crate) name: String,
    pub(crate) was_running: bool,
    pub(crate) reason: RevisionReason,
    pub(crate) by: String,
    pub(crate) spec: Spec,
}

/// One with everything that putting it back needs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) told: ContainerRevision,
    pub(crate) spec: Spec,
}

impl Revisions {
    pub(crate) fn new(db: Db) -> Self {
        Self { db }
    }

    /// Keeps one.
    pub(crate) async fn keep(&self, new: NewRevision) -> Result<RevisionId, DbError> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(|_| DbError::Closed)?;
        let now = Timestamp::now();
        let id = RevisionId::parse(&hex::encode(bytes)).map_err(|_| DbError::Closed)?;
        let engine = new.engine.to_string();
        let kept = Kept {
            told: ContainerRevision {
                id: id.clone(),
                engine: new.engine,
                container: new.container,
                name: new.name,
                image: new.spec.body.image.clone().unwrap_or_default(),
                image_id: new.spec.image_id.clone(),
                was_running: new.was_running,
                reason: new.reason,
                by: new.by,
                at: now,
                kept_until: now + KEPT_FOR,
            },
            spec: new.spec,
        };
        let key = id.clone();
        self.db
            .run("keep what a container was made with", move |connection| {
                let body = serde_json::to_string(&kept)
                    .map_err(|e| rusqlite::Error::ToSqlConversionFailure(Box::new(e)))?;
                let step = connection.transaction()?;
                step.execute(
                    "INSERT INTO revision (id, at_ms, engine, body) VALUES (?1, ?2, ?3, ?4)",
                    (key.as_str(), now.as_millisecond(), &engine, body),
                )?;
                step.execute(
                    "DELETE FROM revision WHERE engine = ?1 AND id NOT IN (SELECT id FROM revision WHERE engine = ?1 ORDER BY at_ms DESC LIMIT ?2)",
                    (&engine, MOST),
                )?;
                step.execute("DELETE FROM revision WHERE at_ms < ?1", [(now - KEPT_FOR).as_millisecond()])?;
                step.commit()
            })
            .await?;
        Ok(id)
    }

    /// Those of an engine, newest first.
    pub(crate) async fn list(
        &self,
        engine: &EngineName,
    ) -> Result<Vec<ContainerRevision>, DbError> {
        let engine = engine.to_string();
        let since = (Timestamp::now() - KEPT_FOR).as_millisecond();
        self.db
            .run("list what containers were made with", move |connection| {
                let mut statement = connection
                    .prepare("SELECT body FROM revision WHERE engine = ?1 AND at_ms >= ?2 ORDER BY at_ms DESC, id")?;
                let rows = statement.query_map((engine, since), |row| row.get::<_, String>(0))?;
                let mut all = Vec::new();
                for body in rows {
                    // One that an older program wrote in another way costs only itself.
                    if let Ok(kept) = serde_json::from_str::<Kept>(&body?) {
                        all.push(kept.told);
                    }
                }
                Ok(all)
            })
            .await
    }

    /// One of an engine.
    pub(crate) async fn get(
        &self,
        engine: &EngineName,
        id: &RevisionId,
    ) -> Result<Option<Kept>, DbError> {
        let (engine, id) = (engine.to_string(), id.to_string());
        let body = self
            .db
            .run("read what a container was made with", move |connection| {
                connection
                    .query_row(
                        "SELECT body FROM revision WHERE engine = ?1 AND id = ?2",
                        (engine, id),
                        |row| row.get::<_, String>(0),
                    )
                    .optional()
            })
            .await?;
        Ok(body.and_then(|body| serde_json::from_str(&body).ok()))
    }
}
