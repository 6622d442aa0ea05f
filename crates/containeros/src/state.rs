//! The server's state, opened beside a server that may be running: whoever may write it is root on this machine, or the
//! server's own user, and needs no password.

use anyhow::Context as _;
use server::{
    audit::{Audit, Entry},
    db::Db,
};

use crate::settings::Settings;

/// The database and the audit log.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) db: Db,
    audit: Audit,
}

impl State {
    pub(crate) fn open(settings: &Settings) -> anyhow::Result<Self> {
        let directory = server::server::server_dir(&settings.state_dir)?;
        Ok(Self {
            db: Db::open(&directory.join("server.db"))?,
            audit: Audit::open(&directory)?,
        })
    }

    /// Writes down an act before it is done, with the operation's name and the path of the same act over the API.
    pub(crate) async fn audit(&self, operation: &str, target: &str) -> anyhow::Result<()> {
        let entry = Entry {
            user: "(host)".to_owned(),
            token: None,
            ip: String::new(),
            operation: operation.to_owned(),
            target: format!("/api/v1{target}"),
            decision: "allowed".to_owned(),
            status: None,
            request_id: String::new(),
        };
        self.audit
            .append(entry)
            .await
            .context("write the audit log; nothing was changed")
    }
}
