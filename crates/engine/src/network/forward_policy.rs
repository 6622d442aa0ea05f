//! Other software's filter of forwarded packets.
//!
//! A packet must pass every table. Docker Engine, for one, sets the policy of iptables' FORWARD chain to DROP, which
//! would drop our containers' packets too, whatever our own table says. Where that is found, two rules let packets from
//! and to our links through; what they may do there is decided in our own table. They are removed with it.

use std::sync::Mutex;
use std::sync::PoisonError;

use crate::error::Result;
use crate::programs::Program;

/// Lists the tables of iptables' older form that exist; reading through its program would make them.
const LEGACY_TABLES: &str = "/proc/net/ip_tables_names";

/// The rules among others' that let our packets through.
#[derive(Debug)]
pub(super) struct ForwardPolicy {
    /// Interface pattern of our links: `mini+`.
    pattern: String,
    /// The programs whose FORWARD chain we have added to.
    added: Mutex<Vec<Program>>,
}

impl ForwardPolicy {
    /// For links that begin with `link_prefix`.
    pub(super) fn new(link_prefix: &str) -> Self {
        Self {
            pattern: format!("{link_prefix}+"),
            added: Mutex::default(),
        }
    }

    /// Lets our packets through each FORWARD chain that drops by policy. Repeating it changes nothing.
    pub(super) fn let_through(&self) -> Result<()> {
        for program in tables_in_use() {
            let rules = program.run(&["-w", "-S", "FORWARD"], "")?;
            if !rules.lines().any(|line| line == "-P FORWARD DROP") {
                continue;
            }
            for direction in ["-i", "-o"] {
                let rule = self.rule(direction);
                let listed = format!("-A FORWARD {}", rule.join(" "));
                if !rules.lines().any(|line| line == listed) {
                    let mut arguments = vec!["-w", "-I", "FORWARD"];
                    arguments.extend(rule);
                    program.run(&arguments, "")?;
                }
            }
            let mut added = self.added.lock().unwrap_or_else(PoisonError::into_inner);
            if !added.contains(&program) {
                tracing::info!(
                    ?program,
                    "let packets of containers through a FORWARD chain that drops by policy"
                );
                added.push(program);
            }
        }
        Ok(())
    }

    /// Removes our rules wherever they are.
    pub(super) fn withdraw(&self) -> Result<()> {
        for program in tables_in_use() {
            let rules = program.run(&["-w", "-S", "FORWARD"], "")?;
            for direction in ["-i", "-o"] {
                let rule = self.rule(direction);
                let listed = format!("-A FORWARD {}", rule.join(" "));
                for _ in rules.lines().filter(|line| *line == listed) {
                    let mut arguments = vec!["-w", "-D", "FORWARD"];
                    arguments.extend(&rule);
                    program.run(&arguments, "")?;
                }
            }
        }
        self.added
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        Ok(())
    }

    fn rule<'a>(&'a self, direction: &'a str) -> Vec<&'a str> {
        vec![direction, &self.pattern, "-j", "ACCEPT"]
    }
}

/// The forms of iptables that hold rules in this network namespace.
fn tables_in_use() -> Vec<Program> {
    let mut programs = Vec::new();
    if Program::IptablesNft.find().is_some() && super::elements::ip_filter_exists() {
        programs.push(Program::IptablesNft);
    }
    let legacy = std::fs::read_to_string(LEGACY_TABLES).unwrap_or_default();
    if legacy.lines().any(|table| table == "filter") && Program::IptablesLegacy.find().is_some() {
        programs.push(Program::IptablesLegacy);
    }
    programs
}
