//! `user`: accounts without the page, for who has root on the machine anyway.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use api::auth::Role;
use server::auth::{check_name, check_password, put_user};

use crate::{
    arguments::{RoleName, UserCommand},
    settings::Settings,
    state::State,
    terminal::read_secret,
};

/// Adds or changes a user in the database; the server need not run, and may.
pub(crate) async fn run(settings: &Settings, command: UserCommand) -> anyhow::Result<()> {
    let (name, role, replace) = match command {
        UserCommand::Add { name, role } => (name, role, false),
        UserCommand::Reset { name } => (name, RoleName::Admin, true),
    };
    if let Err(message) = check_name(&name) {
        bail!("the name {message}");
    }
    let role = Role::from(role);
    let state = State::open(settings)?;
    let password = tokio::task::spawn_blocking(|| read_secret("Password (at least 12 characters)"))
        .await
        .context("read the password")??;
    if let Err(message) = check_password(&password) {
        bail!("the password {message}");
    }
    let operation = if replace {
        "UserPassword"
    } else {
        "UserCreate"
    };
    state.audit(operation, &format!("/users/{name}")).await?;
    if !put_user(&state.db, &name, &password, role, replace).await? {
        bail!(if replace {
            "there is no user of this name: `containeros user add` makes one"
        } else {
            "a user of this name exists already: `containeros user reset` gives a new password"
        });
    }
    let done = if replace {
        "has a new password; all sessions of this user are over"
    } else {
        "can sign in"
    };
    writeln!(std::io::stdout(), "{name} {done}").context("print")
}
