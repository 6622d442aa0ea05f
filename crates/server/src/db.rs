//! The server's database: SQLite in WAL mode, one thread that owns the connection, migrations in order.

use std::{path::Path, thread};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

/// Each entry brings the schema one version further; entries are never changed, only added.
const MIGRATIONS: [&str; 4] = [
    "
    CREATE TABLE users (
        name TEXT PRIMARY KEY COLLATE NOCASE,
        password_hash TEXT NOT NULL,
        role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
        created_at_ms INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE sessions (
        id_hash BLOB PRIMARY KEY,
        user TEXT NOT NULL COLLATE NOCASE REFERENCES users (name) ON DELETE CASCADE ON UPDATE CASCADE,
        created_at_ms INTEGER NOT NULL,
        last_used_at_ms INTEGER NOT NULL,
        ip TEXT NOT NULL
    ) STRICT;
    CREATE INDEX sessions_of_user ON sessions (user);
",
    "ALTER TABLE sessions ADD COLUMN confirmed_at_ms INTEGER NOT NULL DEFAULT 0;",
    // A password with a `one_time_until_ms` was made for the user, who must choose another. `totp_step` is the last time step
    // whose code was taken. Tokens without a user were made on the host.
    "
    ALTER TABLE users ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE users ADD COLUMN one_time_until_ms INTEGER;
    ALTER TABLE users ADD COLUMN last_login_at_ms INTEGER;
    ALTER TABLE users ADD COLUMN totp_secret BLOB;
    ALTER TABLE users ADD COLUMN totp_pending BLOB;
    ALTER TABLE users ADD COLUMN totp_step INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE sessions ADD COLUMN user_agent TEXT NOT NULL DEFAULT '';
    CREATE TABLE recovery_codes (
        user TEXT NOT NULL COLLATE NOCASE REFERENCES users (name) ON DELETE CASCADE ON UPDATE CASCADE,
        code_hash BLOB NOT NULL,
        PRIMARY KEY (user, code_hash)
    ) STRICT;
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        secret_hash BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL,
        user TEXT COLLATE NOCASE REFERENCES users (name) ON DELETE CASCADE ON UPDATE CASCADE,
        role TEXT NOT NULL CHECK (role IN ('viewer', 'operator', 'admin')),
        read_only INTEGER NOT NULL,
        engines TEXT,
        created_at_ms INTEGER NOT NULL,
        expires_at_ms INTEGER NOT NULL,
        last_used_at_ms INTEGER,
        last_used_ip TEXT
    ) STRICT;
    CREATE INDEX tokens_of_user ON tokens (user);
",
    // Bodies are JSON of the types of `api::alert`. A message that waits has a row for each channel. The rules that a server has
    // from the beginning ring for what everybody wants to know.
    r#"
    CREATE TABLE alert_rules (id TEXT PRIMARY KEY, created_at_ms INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
    CREATE TABLE alert_channels (
        id TEXT PRIMARY KEY,
        created_at_ms INTEGER NOT NULL,
        body TEXT NOT NULL,
        sealed BLOB NOT NULL,
        last_sent_at_ms INTEGER,
        last_error TEXT
    ) STRICT;
    CREATE TABLE alerts (
        id TEXT PRIMARY KEY,
        started_at_ms INTEGER NOT NULL,
        resolved_at_ms INTEGER,
        body TEXT NOT NULL
    ) STRICT;
    CREATE INDEX alerts_by_time ON alerts (started_at_ms);
    CREATE TABLE alert_notices (
        alert TEXT NOT NULL REFERENCES alerts (id) ON DELETE CASCADE,
        channel TEXT NOT NULL REFERENCES alert_channels (id) ON DELETE CASCADE,
        over INTEGER NOT NULL,
        due_at_ms INTEGER NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (alert, channel, over)
    ) STRICT;
    INSERT INTO alert_rules (id, created_at_ms, body) VALUES
    ('0000000000000001', 1, '{"name":"Container ended with an error","condition":{"kind":"container_down"},"severity":"critical"}'),
    ('0000000000000002', 2, '{"name":"Container unhealthy","condition":{"kind":"unhealthy"},"for_s":30,"severity":"warning"}'),
    ('0000000000000003', 3, '{"name":"Container restarts again and again","condition":{"kind":"restart_loop","restarts":3,"within_s":300},"severity":"critical"}'),
    ('0000000000000004', 4, '{"name":"Container out of memory","condition":{"kind":"out_of_memory"},"severity":"warning"}'),
    ('0000000000000005', 5, '{"name":"Disk nearly full","condition":{"kind":"disk_above","percent":90},"for_s":300,"severity":"critical"}'),
    ('0000000000000006', 6, '{"name":"Engine does not answer","condition":{"kind":"engine_down"},"for_s":30,"severity":"critical"}');
"#,
];

/// How many requests may wait for the database thread; more wait for a place.
const QUEUE: usize = 256;

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It was written by a newer version of this program.
    #[error(
        "open {path}: it was written by a newer version (schema {found}, this program knows {known}); use that version, or a copy of the state from before"
    )]
    Newer {
        /// The file.
        path: String,
        /// Its schema.
        found: usize,
        /// What this program knows.
        known: usize,
    },
    /// SQLite says no.
    #[error("{what}: {source}")]
    Sqlite {
        /// What was done.
        what: String,
        /// What it says.
        source: rusqlite::Error,
    },
    /// The thread could not be started.
    #[error("start the database thread: {0}")]
    Thread(std::io::Error),
    /// The database thread has ended.
    #[error("ask the database: it is closed")]
    Closed,
}

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// The open database; cheap to clone.
#[derive(Clone, Debug)]
pub struct Db {
    queue: mpsc::Sender<Work>,
}

impl Db {
    /// Opens the database, makes it if need be and brings its schema up to date.
    ///
    /// # Errors
    /// [`DbError::Newer`] when a newer program wrote it.
    pub fn open(path: &Path) -> Result<Self, DbError> {
        let mut connection = connect(path)?;
        let (queue, mut work) = mpsc::channel::<Work>(QUEUE);
        thread::Builder::new()
            .name("database".to_owned())
            .spawn(move || {
                while let Some(work) = work.blocking_recv() {
                    work(&mut connection);
                }
            })
            .map_err(DbError::Thread)?;
        Ok(Self { queue })
    }

    /// Runs `work` on the connection and returns what it returns.
    ///
    /// # Errors
    /// What `work` errs with, or [`DbError::Closed`].
    pub async fn run<T, F>(&self, what: &'static str, work: F) -> Result<T, DbError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, asked) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            // Whoever asked may have gone away; the work is done all the same.
            drop(answer.send(work(connection)));
        });
        self.queue
            .send(work)
            .await
            .map_err(|_closed| DbError::Closed)?;
        asked
            .await
            .map_err(|_closed| DbError::Closed)?
            .map_err(|source| DbError::Sqlite {
                what: what.to_owned(),
                source,
            })
    }
}

/// Opens the file and brings its schema up to date.
fn connect(path: &Path) -> Result<Connection, DbError> {
    let sqlite = |what: &str| {
        let what = format!("{what} {}", path.display());
        move |source| DbError::Sqlite { what, source }
    };
    let mut connection = Connection::open(path).map_err(sqlite("open"))?;
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000;
             PRAGMA cache_size = -512;",
        )
        .map_err(sqlite("set up"))?;
    let found: usize = connection
        .query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0))
        .map_err(sqlite("read the schema of"))? as usize;
    if found > MIGRATIONS.len() {
        return Err(DbError::Newer {
            path: path.display().to_string(),
            found,
            known: MIGRATIONS.len(),
        });
    }
    if found < MIGRATIONS.len() {
        // All steps or none: a version that was between two releases never reaches the disk.
        let steps = connection.transaction().map_err(sqlite("migrate"))?;
        for migration in MIGRATIONS.iter().skip(found) {
            steps.execute_batch(migration).map_err(sqlite("migrate"))?;
        }
        let reached = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        steps
            .pragma_update(None, "user_version", reached)
            .map_err(sqlite("migrate"))?;
        steps.commit().map_err(sqlite("migrate"))?;
    }
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_schema_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.db");
        for _ in 0..2 {
            let db = Db::open(&path).unwrap();
            let count: i64 = db
                .run("count", |c| {
                    c.query_row("SELECT count(*) FROM users", [], |r| r.get(0))
                })
                .await
                .unwrap();
            assert_eq!(count, 0);
        }
    }

    #[tokio::test]
    async fn an_older_schema_comes_forward_with_what_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.db");
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.execute_batch(
            "PRAGMA user_version = 1; INSERT INTO users VALUES ('ana', 'hash', 'admin', 1);",
        )
        .unwrap();
        drop(old);
        let db = Db::open(&path).unwrap();
        let (version, disabled): (usize, bool) = db
            .run("look", |c| {
                let version = c.query_row("PRAGMA user_version", [], |r| r.get::<_, u32>(0))?;
                let disabled = c.query_row("SELECT disabled FROM users", [], |r| r.get(0))?;
                Ok((version as usize, disabled))
            })
            .await
            .unwrap();
        assert_eq!((version, disabled), (MIGRATIONS.len(), false));
    }

    #[test]
    fn a_newer_schema_is_refused_with_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.db");
        let connection = Connection::open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        let error = Db::open(&path).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
    }
}
