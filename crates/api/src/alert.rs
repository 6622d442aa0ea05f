//! Alerts: rules, what they found, and where it is sent.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    auth::SecretText,
    id::{AlertChannelId, AlertRuleId, EngineName},
};

/// When a rule finds something.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum AlertCondition {
    /// A container ended with an error, or the engine lost it.
    ContainerDown {
        /// Also one that ended well or was stopped.
        #[serde(default)]
        also_when_stopped: bool,
    },
    /// A container's health check fails.
    Unhealthy,
    /// A container's restart policy started it again and again.
    RestartLoop {
        /// So many times, 2–100.
        restarts: u32,
        /// Within so many seconds, 10–86,400.
        within_s: u32,
    },
    /// The kernel killed a process of a container for lack of memory, in the last ten minutes.
    OutOfMemory,
    /// A container uses more of the processors than this share of what it may.
    CpuAbove {
        /// Percent of its limit, without one of all processors; 1–100.
        percent: f64,
    },
    /// A container's working set is above this share of what it may use.
    MemoryAbove {
        /// Percent of its limit, without one of the machine's memory; 1–100.
        percent: f64,
    },
    /// A file system of the machine is fuller than this.
    DiskAbove {
        /// Percent of its size; 1–100.
        percent: f64,
    },
    /// The machine's processors are busier than this.
    HostCpuAbove {
        /// Percent of all of them; 1–100.
        percent: f64,
    },
    /// The machine's memory is fuller than this.
    HostMemoryAbove {
        /// Percent of it; 1–100.
        percent: f64,
    },
    /// An engine that should answer does not.
    EngineDown,
}

/// How much it matters.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// To know.
    Info,
    /// To look at.
    Warning,
    /// To act on now.
    Critical,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct AlertRule {
    /// Its id.
    pub id: AlertRuleId,
    /// What is said when it finds something.
    #[serde(flatten)]
    pub rule: AlertRuleRequest,
}

/// Makes a rule, or changes it whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertRuleRequest {
    /// Its name: 1–80 printable characters.
    pub name: String,
    /// It is looked at.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// When it finds something.
    pub condition: AlertCondition,
    /// Only when that lasts so long, in seconds, at most 86,400.
    #[serde(default)]
    pub for_s: u32,
    /// Only on this engine.
    #[serde(default)]
    pub engine: Option<EngineName>,
    /// Only containers whose name is this; `*` stands for anything.
    #[serde(default)]
    pub container: Option<String>,
    /// How much it matters.
    pub severity: Severity,
    /// Where it is sent; absent for every channel.
    #[serde(default)]
    pub channels: Option<Vec<AlertChannelId>>,
}

fn yes() -> bool {
    true
}

/// What a rule found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Its id.
    pub id: String,
    /// The rule.
    pub rule: AlertRuleId,
    /// Its name then.
    pub rule_name: String,
    /// How much it matters.
    pub severity: Severity,
    /// The engine, when it is about one.
    pub engine: Option<EngineName>,
    /// What it is about: a container's id, a mount point, an engine's name, `host`.
    pub subject: String,
    /// The same for people: a container's name.
    pub subject_name: String,
    /// What was found, in a sentence. Names in it are untrusted.
    pub text: String,
    /// Since when.
    pub started_at: Timestamp,
    /// When it was over.
    pub resolved_at: Option<Timestamp>,
}

/// Which alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertQuery {
    /// Only those that are not over.
    pub firing: Option<bool>,
    /// At most so many; 100 when absent, at most 1,000.
    pub limit: Option<u32>,
}

/// Where alerts are sent.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ChannelTarget {
    /// JSON to any address.
    Webhook {
        /// The address; `https` or `http`.
        url: SecretText,
        /// The header `Authorization`.
        #[serde(default)]
        authorization: Option<SecretText>,
    },
    /// A topic of an ntfy server.
    Ntfy {
        /// `https://server/topic`.
        url: SecretText,
        /// An access token.
        #[serde(default)]
        token: Option<SecretText>,
    },
    /// An incoming webhook of Slack, or of what takes the same.
    Slack {
        /// Its address.
        url: SecretText,
    },
    /// A webhook of Discord.
    Discord {
        /// Its address.
        url: SecretText,
    },
    /// A Gotify server.
    Gotify {
        /// The server's address.
        url: SecretText,
        /// The application's token.
        token: SecretText,
    },
    /// A Telegram bot.
    Telegram {
        /// The bot's token.
        token: SecretText,
        /// The chat.
        chat_id: String,
        /// Another server than `https://api.telegram.org`.
        #[serde(default)]
        server: Option<SecretText>,
    },
    /// E-mail.
    Email {
        /// The mail server.
        host: String,
        /// Its port: 465 for TLS, 587 for STARTTLS, 25 for none when absent.
        #[serde(default)]
        port: Option<u16>,
        /// How the connection is protected.
        #[serde(default)]
        security: MailSecurity,
        /// The name to sign in with.
        #[serde(default)]
        username: Option<String>,
        /// The password to sign in with.
        #[serde(default)]
        password: Option<SecretText>,
        /// The sender's address.
        from: String,
        /// The receivers' addresses, 1–20.
        to: Vec<String>,
    },
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MailSecurity {
    /// TLS from the beginning.
    #[default]
    Tls,
    /// STARTTLS, demanded.
    Starttls,
    /// Not at all: who is on the way reads along. No password is sent.
    None,
}

/// A time of day in which a channel is silent; what still holds at its end is sent then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// `22:00`.
    pub from: String,
    /// `07:00`; earlier than `from` for the next day.
    pub until: String,
    /// Hours before or after UTC, in minutes: 60 for UTC+1.
    #[serde(default)]
    pub utc_offset_min: i16,
    /// What is critical is sent all the same.
    #[serde(default)]
    pub critical_passes: bool,
}

/// Makes a channel.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertChannelRequest {
    /// Its name: 1–80 printable characters.
    pub name: String,
    /// It is used.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Where it sends.
    pub target: ChannelTarget,
    /// It may be on this machine or in a private network. Addresses that are only for the machine's own cloud never.
    #[serde(default)]
    pub allow_private: bool,
    /// When it is silent.
    #[serde(default)]
    pub quiet_hours: Option<QuietHours>,
    /// Also tells when it is over.
    #[serde(default = "yes")]
    pub send_resolved: bool,
}

/// Changes a channel; what is absent stays.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertChannelUpdate {
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// It is used.
    #[serde(default)]
    pub enabled: Option<bool>,
    /// Where it sends, whole.
    #[serde(default)]
    pub target: Option<ChannelTarget>,
    /// It may be in a private network.
    #[serde(default)]
    pub allow_private: Option<bool>,
    /// When it is silent.
    #[serde(default)]
    pub quiet_hours: Option<QuietHours>,
    /// It is never silent.
    #[serde(default)]
    pub no_quiet_hours: bool,
    /// Also tells when it is over.
    #[serde(default)]
    pub send_resolved: Option<bool>,
}

/// What kind of channel it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as in ChannelTarget")]
pub enum ChannelKind {
    Webhook,
    Ntfy,
    Slack,
    Discord,
    Gotify,
    Telegram,
    Email,
}

/// A channel, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertChannel {
    /// Its id.
    pub id: AlertChannelId,
    /// Its name.
    pub name: String,
    /// It is used.
    pub enabled: bool,
    /// What it is.
    pub kind: ChannelKind,
    /// Where it leads, without what is secret: `https://hooks.example`, receivers of mail.
    pub target: String,
    /// It may be in a private network.
    pub allow_private: bool,
    /// When it is silent.
    pub quiet_hours: Option<QuietHours>,
    /// Also tells when it is over.
    pub send_resolved: bool,
    /// When something was sent last.
    pub last_sent_at: Option<Timestamp>,
    /// Why the last message was not taken.
    pub last_error: Option<String>,
}

/// How a test message was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AlertTestResult {
    /// It was.
    pub delivered: bool,
    /// Why not.
    pub error: Option<String>,
}
