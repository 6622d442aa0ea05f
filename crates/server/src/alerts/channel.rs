//! Channels as they are kept: what everybody may see apart from what is sealed.

use api::{
    alert::{AlertChannelRequest, ChannelKind, ChannelTarget, MailSecurity, QuietHours},
    auth::SecretText,
    problem::FieldError,
};
use lettre::message::Mailbox;
use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::quiet;

/// A channel's part that is no secret.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) enabled: bool,
    pub(super) kind: ChannelKind,
    pub(super) target: String,
    pub(super) allow_private: bool,
    pub(super) quiet_hours: Option<QuietHours>,
    pub(super) send_resolved: bool,
}

/// Where a channel leads, with its secrets; sealed on the disk.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Secret {
    Webhook {
        url: String,
        authorization: Option<String>,
    },
    Ntfy {
        url: String,
        token: Option<String>,
    },
    Slack {
        url: String,
    },
    Discord {
        url: String,
    },
    Gotify {
        url: String,
        token: String,
    },
    Telegram {
        token: String,
        chat_id: String,
        server: String,
    },
    Email(Mail),
}

/// A mail server and who writes to whom.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Mail {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: MailSecurity,
    pub(super) username: Option<String>,
    pub(super) password: Option<String>,
    pub(super) from: String,
    pub(super) to: Vec<String>,
}

/// What is wrong with a request, by field.
pub(super) type Errors = Vec<FieldError>;

fn wrong(field: &str, message: &str) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

/// Splits a request into what may be seen and what is sealed.
pub(super) fn split(request: &AlertChannelRequest) -> Result<(Settings, Secret), Errors> {
    let mut errors = Vec::new();
    if let Err(message) = check_name(&request.name) {
        errors.push(wrong("name", message));
    }
    if let Some(Err((field, message))) = request.quiet_hours.as_ref().map(quiet::check) {
        errors.push(wrong(field, message));
    }
    match secret_of(&request.target) {
        Ok((secret, kind, target)) if errors.is_empty() => Ok((
            Settings {
                name: request.name.clone(),
                enabled: request.enabled,
                kind,
                target,
                allow_private: request.allow_private,
                quiet_hours: request.quiet_hours.clone(),
                send_resolved: request.send_resolved,
            },
            secret,
        )),
        Ok(_) => Err(errors),
        Err(more) => {
            errors.extend(more);
            Err(errors)
        }
    }
}

/// Returns what is wrong with a name.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    let good = (1..=80).contains(&name.chars().count())
        && name.trim() == name
        && !name.chars().any(char::is_control);
    if good {
        Ok(())
    } else {
        Err("must be 1 to 80 printable characters, without a space at its ends")
    }
}

/// The secrets are read here, to be sealed, and nowhere else.
fn secret_of(target: &ChannelTarget) -> Result<(Secret, ChannelKind, String), Errors> {
    let text = |secret: &SecretText| secret.expose().to_owned();
    let one = |field: &str, message: &'static str| vec![wrong(field, message)];
    let token = |field: &str, secret: &SecretText| {
        let token = secret.expose();
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(one(field, "must be printable characters without spaces"));
        }
        Ok(token.to_owned())
    };
    Ok(match target {
        ChannelTarget::Webhook { url, authorization } => {
            let (url, shown) = address("target.url", url)?;
            let authorization = authorization.as_ref().map(text);
            if authorization
                .as_ref()
                .is_some_and(|value| value.bytes().any(|b| !(b' '..=b'~').contains(&b)))
            {
                let field = "target.authorization";
                return Err(one(field, "must be printable ASCII characters"));
            }
            let secret = Secret::Webhook { url, authorization };
            (secret, ChannelKind::Webhook, shown)
        }
        ChannelTarget::Ntfy { url, token: access } => {
            let (url, shown) = address("target.url", url)?;
            let topic = Url::parse(&url)
                .ok()
                .and_then(|url| url.path_segments()?.next_back().map(str::to_owned))
                .unwrap_or_default();
            if topic.is_empty() {
                return Err(one("target.url", "must end with the topic"));
            }
            let access = access.as_ref().map(|secret| token("target.token", secret));
            let secret = Secret::Ntfy {
                url,
                token: access.transpose()?,
            };
            (secret, ChannelKind::Ntfy, shown)
        }
        ChannelTarget::Slack { url } => {
            let (url, shown) = address("target.url", url)?;
            (Secret::Slack { url }, ChannelKind::Slack, shown)
        }
        ChannelTarget::Discord { url } => {
            let (url, shown) = address("target.url", url)?;
            (Secret::Discord { url }, ChannelKind::Discord, shown)
        }
        ChannelTarget::Gotify { url, token: app } => {
            let (url, shown) = address("target.url", url)?;
            let token = token("target.token", app)?;
            (Secret::Gotify { url, token }, ChannelKind::Gotify, shown)
        }
        ChannelTarget::Telegram {
            token: bot,
            chat_id,
            server,
        } => {
            let bot = token("target.token", bot)?;
            if !bot
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'-' | b'_'))
            {
                return Err(one("target.token", "must be as the bot's father gave it"));
            }
            if chat_id.is_empty() || chat_id.len() > 64 {
                return Err(one("target.chat_id", "must be the chat's id or @name"));
            }
            let telegram = SecretText::new("https://api.telegram.org");
            let (server, shown) = address("target.server", server.as_ref().unwrap_or(&telegram))?;
            let secret = Secret::Telegram {
                token: bot,
                chat_id: chat_id.clone(),
                server,
            };
            (secret, ChannelKind::Telegram, format!("{shown}, {chat_id}"))
        }
        ChannelTarget::Email { .. } => mail(target)?,
    })
}

fn mail(target: &ChannelTarget) -> Result<(Secret, ChannelKind, String), Errors> {
    let ChannelTarget::Email {
        host,
        port,
        security,
        username,
        password,
        from,
        to,
    } = target
    else {
        return Err(Vec::new());
    };
    let mut errors = Vec::new();
    if host.is_empty()
        || host.len() > 253
        || !host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
    {
        errors.push(wrong("target.host", "must be a host's name or address"));
    }
    if from.parse::<Mailbox>().is_err() {
        errors.push(wrong("target.from", "must be an e-mail address"));
    }
    if !(1..=20).contains(&to.len()) || to.iter().any(|to| to.parse::<Mailbox>().is_err()) {
        errors.push(wrong("target.to", "must be 1 to 20 e-mail addresses"));
    }
    if *security == MailSecurity::None && password.is_some() {
        let message = "a password is not sent over a connection without TLS";
        errors.push(wrong("target.password", message));
    }
    if username.is_some() != password.is_some() {
        errors.push(wrong("target.username", "goes with a password"));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let usual = match security {
        MailSecurity::Tls => 465,
        MailSecurity::Starttls => 587,
        MailSecurity::None => 25,
    };
    let mail = Mail {
        host: host.clone(),
        port: port.unwrap_or(usual),
        security: *security,
        username: username.clone(),
        password: password.as_ref().map(|secret| secret.expose().to_owned()),
        from: from.clone(),
        to: to.clone(),
    };
    Ok((Secret::Email(mail), ChannelKind::Email, to.join(", ")))
}

/// Checks an address; returns it, and its part that is no secret.
fn address(field: &str, secret: &SecretText) -> Result<(String, String), Errors> {
    let refuse = |message: &'static str| vec![wrong(field, message)];
    let text = secret.expose();
    if text.len() > 2048 {
        return Err(refuse("must have at most 2048 characters"));
    }
    let url =
        Url::parse(text).map_err(|_no_url| refuse("must be an address such as https://host/…"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("must begin with https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("must hold no name and password"));
    }
    let host = url.host_str().unwrap_or_default();
    let port = url
        .port()
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    let shown = format!("{}://{host}{port}", url.scheme());
    Ok((url.to_string(), shown))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(target: serde_json::Value) -> AlertChannelRequest {
        serde_json::from_value(json!({ "name": "x", "target": target })).unwrap()
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        for (target, shown) in [
            (
                json!({ "kind": "slack", "url": "https://hooks.example/T0/CANARY" }),
                "https://hooks.example",
            ),
            (
                json!({ "kind": "ntfy", "url": "https://ntfy.example:8443/CANARY", "token": "CANARY" }),
                "https://ntfy.example:8443",
            ),
            (
                json!({ "kind": "telegram", "token": "1:CANARY", "chat_id": "-5" }),
                "https://api.telegram.org, -5",
            ),
            (
                json!({ "kind": "gotify", "url": "http://box.lan", "token": "CANARY" }),
                "http://box.lan",
            ),
            (
                json!({ "kind": "email", "host": "mail.example", "username": "u", "password": "CANARY", "from": "a@b.example", "to": ["c@d.example"] }),
                "c@d.example",
            ),
        ] {
            let request = request(target);
            let (settings, _secret) = split(&request).unwrap();
            assert_eq!(settings.target, shown);
            assert!(!format!("{settings:?} {request:?}").contains("CANARY"));
        }
    }

    #[test]
    fn what_is_wrong_is_told_by_field() {
        for (target, field) in [
            (json!({ "kind": "slack", "url": "ftp://x" }), "target.url"),
            (
                json!({ "kind": "slack", "url": "file:///etc/passwd" }),
                "target.url",
            ),
            (json!({ "kind": "slack", "url": "x" }), "target.url"),
            (
                json!({ "kind": "slack", "url": "https://u:p@x" }),
                "target.url",
            ),
            (json!({ "kind": "ntfy", "url": "https://x" }), "target.url"),
            (
                json!({ "kind": "gotify", "url": "https://x", "token": "a b" }),
                "target.token",
            ),
            (
                json!({ "kind": "telegram", "token": "../x", "chat_id": "1" }),
                "target.token",
            ),
            (
                json!({ "kind": "webhook", "url": "https://x", "authorization": "a\nb" }),
                "target.authorization",
            ),
            (
                json!({ "kind": "email", "host": "x y", "from": "a@b.c", "to": ["a@b.c"] }),
                "target.host",
            ),
            (
                json!({ "kind": "email", "host": "x", "from": "a", "to": ["a@b.c"] }),
                "target.from",
            ),
            (
                json!({ "kind": "email", "host": "x", "from": "a@b.c", "to": [] }),
                "target.to",
            ),
            (
                json!({ "kind": "email", "host": "x", "security": "none", "username": "u", "password": "p", "from": "a@b.c", "to": ["a@b.c"] }),
                "target.password",
            ),
        ] {
            let errors = split(&request(target.clone())).map(drop).unwrap_err();
            assert_eq!(errors[0].field, field, "{target}");
        }
    }
}
