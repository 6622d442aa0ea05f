//! What a message says, and in which shape each kind of channel takes it. Names in it are untrusted: nothing of them is
//! markup, and nobody is notified by a name that looks like one.

use api::alert::{Alert, Severity};
use serde_json::{Value, json};

/// Alerts named in one message; of more it is said how many.
const NAMED: usize = 20;
/// Discord takes 2,000 characters, Telegram 4,096.
const MOST_CHARACTERS: usize = 1900;

/// Why a message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// Rules found something.
    Fires,
    /// It is over.
    Over,
    /// Someone tries the channel.
    Test,
}

/// A message about one or more alerts.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) occasion: Occasion,
    pub(super) severity: Severity,
    pub(super) title: String,
    pub(super) text: String,
    host: String,
    alerts: Vec<Alert>,
}

impl Message {
    /// About these alerts; at least one, unless it is a test.
    pub(super) fn new(occasion: Occasion, host: &str, alerts: Vec<Alert>) -> Self {
        let severity = alerts
            .iter()
            .map(|alert| alert.severity)
            .max()
            .unwrap_or(Severity::Info);
        let title = match (occasion, alerts.as_slice()) {
            (Occasion::Test, _) => format!("Test from ContainerOS on {host}"),
            (Occasion::Fires, [one]) => format!("{}: {} ({host})", one.rule_name, one.subject_name),
            (Occasion::Fires, many) => format!("{} alerts on {host}", many.len()),
            (Occasion::Over, [one]) => {
                format!("Over: {}: {} ({host})", one.rule_name, one.subject_name)
            }
            (Occasion::Over, many) => format!("Over: {} alerts on {host}", many.len()),
        };
        let mut lines: Vec<String> = alerts
            .iter()
            .take(NAMED)
            .map(|alert| {
                let engine = alert
                    .engine
                    .as_ref()
                    .map(|engine| format!(" [{engine}]"))
                    .unwrap_or_default();
                match alert.resolved_at {
                    Some(over) => format!("{}{engine}, over since {over:.0}", alert.text),
                    None => format!("{}{engine}, since {:.0}", alert.text, alert.started_at),
                }
            })
            .collect();
        if alerts.len() > NAMED {
            lines.push(format!("and {} more", alerts.len() - NAMED));
        }
        if occasion == Occasion::Test {
            lines.push("This channel works. Alerts will arrive like this.".to_owned());
        }
        Self {
            occasion,
            severity,
            title: plain(&title),
            text: shortened(&lines.join("\n")),
            host: host.to_owned(),
            alerts,
        }
    }

    /// For a program.
    pub(super) fn webhook(&self) -> Value {
        json!({
            "version": 1,
            "source": "containeros",
            "host": self.host,
            "status": match self.occasion {
                Occasion::Fires => "firing",
                Occasion::Over => "resolved",
                Occasion::Test => "test",
            },
            "severity": self.severity,
            "title": self.title,
            "text": self.text,
            "alerts": self.alerts,
        })
    }

    /// Source: docs.ntfy.sh, publish as JSON.
    pub(super) fn ntfy(&self, topic: &str) -> Value {
        let tag = match self.occasion {
            Occasion::Fires => "warning",
            Occasion::Over => "white_check_mark",
            Occasion::Test => "wave",
        };
        json!({
            "topic": topic, "title": self.title, "message": self.text, "tags": [tag],
            "priority": self.priority([3, 4, 5]),
        })
    }

    /// Source: Slack, incoming webhooks; `&`, `<` and `>` are its only control characters.
    pub(super) fn slack(&self) -> Value {
        let escaped = |text: &str| {
            text.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
        };
        json!({ "text": format!("{}\n{}", escaped(&self.title), escaped(&self.text)), "mrkdwn": false })
    }

    /// Source: Discord, execute webhook.
    pub(super) fn discord(&self) -> Value {
        let content = format!("{}\n{}", self.title, self.text);
        json!({ "content": shortened(&content), "allowed_mentions": { "parse": [] } })
    }

    /// Source: Gotify, create message.
    pub(super) fn gotify(&self) -> Value {
        json!({ "title": self.title, "message": self.text, "priority": self.priority([3, 5, 8]) })
    }

    /// Source: Telegram Bot API, sendMessage; without `parse_mode` nothing is markup.
    pub(super) fn telegram(&self, chat_id: &str) -> Value {
        json!({ "chat_id": chat_id, "text": format!("{}\n{}", self.title, self.text) })
    }

    fn priority(&self, of: [u8; 3]) -> u8 {
        let [info, warning, critical] = of;
        match (self.occasion, self.severity) {
            (Occasion::Over | Occasion::Test, _) | (_, Severity::Info) => info,
            (_, Severity::Warning) => warning,
            (_, Severity::Critical) => critical,
        }
    }
}

/// In one line, without control characters.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(200)
        .collect()
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MOST_CHARACTERS {
        return text.to_owned();
    }
    let kept: String = text.chars().take(MOST_CHARACTERS).collect();
    kept + "…"
}

#[cfg(test)]
mod tests {
    use api::id::{AlertRuleId, EngineName};

    use super::*;

    fn alert(name: &str) -> Alert {
        Alert {
            id: "0".repeat(16),
            rule: AlertRuleId::parse("0123456789abcdef").unwrap(),
            rule_name: "Down".into(),
            severity: Severity::Critical,
            engine: EngineName::parse("docker").ok(),
            subject: "1".into(),
            subject_name: name.into(),
            text: format!("{name} is down: Exited with 1"),
            started_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            resolved_at: None,
        }
    }

    #[test]
    fn each_shape_says_it_and_names_are_no_markup() {
        let message = Message::new(Occasion::Fires, "box", vec![alert("<!channel>\n@everyone")]);
        assert!(!message.title.contains('\n'));
        assert_eq!(message.ntfy("t")["priority"], 5);
        assert_eq!(message.gotify()["priority"], 8);
        let slack = message.slack()["text"].as_str().unwrap().to_owned();
        assert!(
            slack.contains("&lt;!channel&gt;") && !slack.contains('<'),
            "{slack}"
        );
        assert_eq!(message.discord()["allowed_mentions"]["parse"], json!([]));
        assert!(message.telegram("5").get("parse_mode").is_none());
        let hook = message.webhook();
        assert_eq!(hook["status"], "firing");
        assert_eq!(hook["alerts"][0]["severity"], "critical");
    }

    #[test]
    fn many_are_one_message_of_bounded_length() {
        let many = (0..500)
            .map(|n| alert(&format!("{n}{}", "x".repeat(300))))
            .collect();
        let message = Message::new(Occasion::Over, "box", many);
        assert_eq!(message.title, "Over: 500 alerts on box");
        assert!(message.text.chars().count() <= MOST_CHARACTERS + 1);
        let few = (0..30).map(|n| alert(&n.to_string())).collect();
        assert!(
            Message::new(Occasion::Fires, "box", few)
                .text
                .ends_with("and 10 more")
        );
    }
}
