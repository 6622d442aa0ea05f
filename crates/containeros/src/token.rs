//! `token`: API tokens without the page, for scripts on this machine.

use std::io::Write as _;

use anyhow::{Context as _, bail};
use api::token::Token;
use server::auth::{NewToken, check_token_name, create_token, list_tokens, revoke_token};

use crate::{arguments::TokenCommand, settings::Settings, state::State};

/// Makes, lists or revokes tokens in the database; the server need not run, and may.
pub(crate) async fn run(settings: &Settings, command: TokenCommand) -> anyhow::Result<()> {
    let state = State::open(settings)?;
    let mut out = std::io::stdout();
    match command {
        TokenCommand::Create {
            name,
            role,
            expires,
            read_only,
            engine,
        } => {
            if let Err(message) = check_token_name(&name) {
                bail!("the name {message}");
            }
            state.audit("TokenCreate", "/tokens").await?;
            let new = NewToken {
                name,
                user: None,
                role: role.into(),
                read_only,
                engines: (!engine.is_empty()).then_some(engine),
                life: expires,
            };
            let (_, secret) = create_token(&state.db, new).await?;
            // Alone, for `$(containeros token create …)`.
            writeln!(out, "{}", secret.expose()).context("print the token")
        }
        TokenCommand::List { json } => {
            let tokens = list_tokens(&state.db, None).await?;
            let text = if json {
                serde_json::to_string_pretty(&tokens).context("write the list")? + "\n"
            } else {
                table(&tokens)
            };
            write!(out, "{text}").context("print the list")
        }
        TokenCommand::Revoke { id } => {
            state
                .audit("TokenRevoke", &format!("/tokens/{id}/revoke"))
                .await?;
            if !revoke_token(&state.db, &id, None).await? {
                bail!("there is no token {id}: `containeros token list` shows them");
            }
            writeln!(out, "{id} is revoked").context("print")
        }
    }
}

/// One token a line.
fn table(tokens: &[Token]) -> String {
    let mut rows = vec![["ID", "NAME", "USER", "MAY", "EXPIRES", "LAST USED"].map(str::to_owned)];
    for token in tokens {
        let mut may = format!("{:?}", token.role).to_lowercase();
        if token.read_only {
            may.push_str(", reads only");
        }
        for engine in token.engines.iter().flatten() {
            may = format!("{may}, {engine}");
        }
        let expires = format!("{:.0}", token.expires_at);
        rows.push([
            token.id.to_string(),
            token.name.clone(),
            token.user.clone().unwrap_or_else(|| "(host)".to_owned()),
            may,
            if token.expired {
                "expired".to_owned()
            } else {
                expires
            },
            token
                .last_used_at
                .map_or_else(|| "never".to_owned(), |time| format!("{time:.0}")),
        ]);
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}
