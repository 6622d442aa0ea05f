//! Sending one message to one channel, within a time, to where it may lead, following no redirect. What comes back is looked at
//! for its status alone: an answer's text must not reach who may try a channel.

use std::time::Duration;

use api::alert::MailSecurity;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use reqwest::{Client, Url, redirect};
use serde_json::Value;

use super::{
    address::{Guarded, check},
    channel::{Mail, Secret},
    message::Message,
};

/// How long all of one message may take.
const LIMIT: Duration = Duration::from_secs(15);

/// Sends messages.
#[derive(Debug, Clone)]
pub(super) struct Sender {
    public: Client,
    private: Client,
}

impl Sender {
    /// Reads the machine's certificates of authorities.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn new() -> Result<Self, String> {
        // Another part of the process may have chosen it; it is the same.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = |allow_private| {
            Client::builder()
                .user_agent(concat!("ContainerOS/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                // A proxy would look names up itself, past our rules.
                .no_proxy()
                .timeout(LIMIT)
                .pool_max_idle_per_host(0)
                .dns_resolver(Guarded { allow_private })
                .build()
                .map_err(|error| format!("prepare to send messages: {error}"))
        };
        Ok(Self {
            public: client(false)?,
            private: client(true)?,
        })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// A sentence without any secret.
    pub(super) async fn send(
        &self,
        secret: &Secret,
        allow_private: bool,
        message: &Message,
    ) -> Result<(), String> {
        let to = Post {
            sender: self,
            allow_private,
        };
        match secret {
            Secret::Webhook { url, authorization } => {
                let header = authorization
                    .as_deref()
                    .map(|value| ("authorization", value));
                to.post(url, header, message.webhook()).await
            }
            Secret::Ntfy { url, token } => {
                let (server, topic) = topic_of(url)?;
                let bearer = token.as_ref().map(|token| format!("Bearer {token}"));
                let header = bearer.as_deref().map(|value| ("authorization", value));
                to.post(&server, header, message.ntfy(&topic)).await
            }
            Secret::Slack { url } => to.post(url, None, message.slack()).await,
            Secret::Discord { url } => to.post(url, None, message.discord()).await,
            Secret::Gotify { url, token } => {
                let url = format!("{}/message", url.trim_end_matches('/'));
                let header = ("x-gotify-key", token.as_str());
                to.post(&url, Some(header), message.gotify()).await
            }
            Secret::Telegram {
                token,
                chat_id,
                server,
            } => {
                let server = server.trim_end_matches('/');
                let url = format!("{server}/bot{token}/sendMessage");
                to.post(&url, None, message.telegram(chat_id)).await
            }
            Secret::Email(mail) => {
                match tokio::time::timeout(LIMIT, send_mail(mail, allow_private, message)).await {
                    Ok(sent) => sent,
                    Err(_elapsed) => Err(format!("the mail server took more than {LIMIT:?}")),
                }
            }
        }
    }
}

/// `https://server/topic` in its two parts.
fn topic_of(url: &str) -> Result<(String, String), String> {
    let mut url = Url::parse(url).map_err(|error| format!("read the address: {error}"))?;
    let topic = url
        .path_segments()
        .and_then(|mut segments| segments.next_back())
        .unwrap_or_default()
        .to_owned();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop();
    }
    Ok((url.to_string(), topic))
}

struct Post<'a> {
    sender: &'a Sender,
    allow_private: bool,
}

impl Post<'_> {
    async fn post(
        &self,
        url: &str,
        header: Option<(&str, &str)>,
        body: Value,
    ) -> Result<(), String> {
        let url = Url::parse(url).map_err(|error| format!("read the address: {error}"))?;
        // A literal address is not looked up, so it is checked here.
        let literal = url
            .host_str()
            .map(|host| host.trim_start_matches('[').trim_end_matches(']'))
            .and_then(|host| host.parse().ok());
        if let Some(ip) = literal {
            check(ip, self.allow_private)?;
        }
        let client = if self.allow_private {
            &self.sender.private
        } else {
            &self.sender.public
        };
        let mut request = client.post(url).json(&body);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = request
            .send()
            .await
            .map_err(|error| chain(&error.without_url()))?;
        let status = answer.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!("the server answered {status}"))
        }
    }
}

/// An error with its causes: what the resolver refused is in the last.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

async fn send_mail(mail: &Mail, allow_private: bool, message: &Message) -> Result<(), String> {
    let mailbox = |text: &str| {
        text.parse::<Mailbox>()
            .map_err(|error| format!("read the address {text:?}: {error}"))
    };
    let mut letter = lettre::Message::builder()
        .from(mailbox(&mail.from)?)
        .subject(&message.title)
        .header(ContentType::TEXT_PLAIN);
    for to in &mail.to {
        letter = letter.to(mailbox(to)?);
    }
    let letter = letter
        .body(format!("{}\r\n", message.text.replace('\n', "\r\n")))
        .map_err(|error| format!("write the letter: {error}"))?;
    let addresses = Guarded { allow_private }
        .look_up(&mail.host, mail.port)
        .await?;
    let address = addresses.first().ok_or("the name has no address")?;
    // Connected to by the address that was checked, believed by the name in its certificate.
    let tls =
        || TlsParameters::new(mail.host.clone()).map_err(|error| format!("prepare TLS: {error}"));
    let mut transport =
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(address.ip().to_string())
            .port(mail.port)
            .timeout(Some(LIMIT))
            .tls(match mail.security {
                MailSecurity::Tls => Tls::Wrapper(tls()?),
                MailSecurity::Starttls => Tls::Required(tls()?),
                MailSecurity::None => Tls::None,
            });
    if let (Some(name), Some(password)) = (&mail.username, &mail.password) {
        transport = transport.credentials(Credentials::new(name.clone(), password.clone()));
    }
    transport
        .build()
        .send(letter)
        .await
        .map(drop)
        .map_err(|error| chain(&error))
}
